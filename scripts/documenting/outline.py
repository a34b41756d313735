"""A page of the reference, before it is Markdown or a man page."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Entry:
    """One option or key. ``term`` is how it is written, ``kind`` what it takes, ``default`` and ``example`` are as
    they are written; an empty text stands for none."""

    term: str
    text: str
    kind: str = ""
    default: str = ""
    example: str = ""


@dataclass(frozen=True, slots=True)
class Section:
    """``usage`` is shown as code below ``title``, ``text`` is its paragraphs. ``columns`` head the entries' table: that
    of the terms, and those of what else the entries have."""

    title: str
    text: tuple[str, ...] = ()
    usage: str = ""
    entries: tuple[Entry, ...] = ()
    column: str = ""


@dataclass(frozen=True, slots=True)
class Page:
    """``introduction`` is its paragraphs."""

    title: str
    introduction: tuple[str, ...]
    sections: tuple[Section, ...]
