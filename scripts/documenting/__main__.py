"""Writes the reference and the man pages, and makes the site."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from documenting.files import REPOSITORY, files


def main() -> None:
    match sys.argv[1:]:
        case ["--stale"]:
            sys.exit(_stale())
        case ["--reference"]:
            _write()
        case []:
            _write()
            _make_site(REPOSITORY / "build" / "site")
        case [directory] if not directory.startswith("-"):
            _write()
            _make_site(Path(directory).resolve())
        case _:
            sys.exit("usage: scripts/docs [DIR | --reference | --stale]")


def _stale() -> str | None:
    """What to do about files that are not what the code says; None where all are."""
    stale = [str(path.relative_to(REPOSITORY)) for path, text in files().items()
             if not path.is_file() or path.read_text(encoding="utf-8") != text]  # fmt: skip
    return f"{', '.join(stale)}: not what the code says; run scripts/docs --reference" if stale else None


def _write() -> None:
    for path, text in files().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def _make_site(site: Path) -> None:
    subprocess.run([Path(sys.executable).with_name("mkdocs"), "build", "--quiet", "--strict", "--site-dir", site],
                   cwd=REPOSITORY, env=os.environ | {"NO_MKDOCS_2_WARNING": "1"}, check=True)  # fmt: skip
    print(f"file://{site}/index.html")


if __name__ == "__main__":
    main()
