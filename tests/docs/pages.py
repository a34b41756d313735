"""The pages that people read, and the blocks of code on them."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Final

from typer.testing import CliRunner

from assembler.cli.app import app

ROOT: Final = Path(__file__).parents[2]
PAGES: Final = {str(path.relative_to(ROOT)): path.read_text(encoding="utf-8")
                for path in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]}  # fmt: skip
WRITTEN_BY_HAND: Final = [name for name, text in PAGES.items() if "<!-- Written by scripts/docs" not in text]


def blocks(page: str, language: str) -> list[str]:
    """The fenced blocks of ``language`` on a page, without their fences."""
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGES[page], re.M | re.S)


def first_column(table: str) -> list[str]:
    """What stands as code in the first column of Markdown tables."""
    return [name for cell in re.findall(r"^\| (`[^|]*) \|", table, re.M) for name in re.findall(r"`([^`]+)`", cell)]


@cache
def helped(*command: str) -> str:
    """What ``imgasm COMMAND --help`` prints."""
    return CliRunner().invoke(app, [*command, "--help"]).stdout
