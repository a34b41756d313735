"""A page of the reference as Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from documenting.outline import Entry, Page, Section

_NOTE: Final = "<!-- Written by scripts/docs out of the code: change the code, and run scripts/docs --reference. -->"
_BESIDE: Final = {"takes": "kind", "default": "default", "example": "example"}
"""Columns between term and text, where any entry has something there."""


def markdown(page: Page) -> str:
    parts = [f"# {page.title}", _NOTE, *page.introduction]
    for section in page.sections:
        parts += _section(section)
    return "\n\n".join(parts) + "\n"


def _section(section: Section) -> Iterator[str]:
    yield f"## {_escaped(section.title)}"
    if section.usage:
        yield f"    {section.usage}"
    yield from section.text
    if section.entries:
        yield "\n".join(_table(section.column, section.entries))


def _table(column: str, entries: Sequence[Entry]) -> Iterator[str]:
    beside = {head: name for head, name in _BESIDE.items() if any(getattr(entry, name) for entry in entries)}
    heads = [column, *(head if column != "key" or head != "takes" else "type" for head in beside), "meaning"]
    yield _row(heads)
    yield _row(["---"] * len(heads))
    for entry in entries:
        yield _row([_code(entry.term), *(_cell(entry, name) for name in beside.values()), _escaped(entry.text)])


def _cell(entry: Entry, name: str) -> str:
    text: str = getattr(entry, name)
    if name == "kind" or text == "required":
        return _escaped(text)
    return _code(text) if text else ""


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _code(text: str) -> str:
    return f"`{text.replace('|', chr(92) + '|')}`"


def _escaped(text: str) -> str:
    """Outside of code, what Markdown would take for a tag, emphasis or the end of a cell is plain text."""
    parts = text.replace("|", "\\|").split("`")
    for at in range(0, len(parts), 2):
        parts[at] = parts[at].replace("<", "&lt;").replace("*", "\\*").replace("[", "\\[")
    return "`".join(parts)
