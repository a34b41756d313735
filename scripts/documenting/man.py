"""Man pages out of the same pages: imgasm(1), with every command, and imgasm-recipe(5), with every key."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from documenting.outline import Entry, Page, Section

_CODE: Final = re.compile(r"`([^`]*)`")


def man(name: str, number: int, purpose: str, pages: list[Page]) -> str:
    """The page ``name``(``number``) of ``pages``, one after another."""
    lines = [f'.\\" Written by scripts/docs out of the code.\n.TH {name.upper()} {number} "" imgasm',
             ".SH NAME", f"{name} \\- {_roff(purpose)}"]  # fmt: skip
    for page in pages:
        lines += [f".SH {_roff(page.title.upper())}", *_paragraphs(page.introduction)]
        for section in page.sections:
            lines += _section(section)
    return "\n".join(lines) + "\n"


def _section(section: Section) -> Iterator[str]:
    yield f".SS {_roff(section.title)}"
    if section.usage:
        yield f".B {_roff(section.usage)}"
    yield from _paragraphs(section.text)
    for entry in section.entries:
        yield from _entry(entry)


def _paragraphs(texts: tuple[str, ...]) -> Iterator[str]:
    for text in texts:
        yield from (".PP", _roff(text))


def _entry(entry: Entry) -> Iterator[str]:
    kind = f" \\fI{_roff(entry.kind)}\\fR" if entry.kind else ""
    yield f".TP\n\\fB{_roff(entry.term)}\\fR{kind}"
    default = {"": "", "required": " Required."}.get(entry.default, f" The default is {entry.default}.")
    yield _roff(entry.text + default).strip() or "\\&"
    if entry.example:
        yield f".br\n{_roff(entry.example)}"


def _roff(text: str) -> str:
    """Plain text, in which code is bold and nothing is a request."""
    text = text.replace("\\", "\\e").replace("-", "\\-")
    text = _CODE.sub(r"\\fB\1\\fR", text)
    return re.sub(r"^([.'])", r"\\&\1", text, flags=re.M)
