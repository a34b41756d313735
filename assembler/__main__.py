"""``python -m assembler`` is ``imgasm``."""

from assembler.cli.app import main

if __name__ == "__main__":
    main()
