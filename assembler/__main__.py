"""``imgasm`` and ``python -m assembler``. Everything else is imported inside the handler of signals and errors."""

from __future__ import annotations

from typing import NoReturn

from assembler.cli import signals
from assembler.cli.error_handling import guarded


def main() -> NoReturn:
    guarded(_command_line)


def _command_line() -> None:
    from assembler.cli.app import app

    signals.tidy_up_first()
    app(standalone_mode=False)


if __name__ == "__main__":
    main()
