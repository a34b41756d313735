"""The form of a plan's text: titles, and rows of two columns below them."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Mapping

Row = tuple[str, str]
"""A key and its value; a row without a value is left out."""


def section(title: str, rows: Iterable[Row]) -> Iterator[str]:
    """A title and its rows; nothing for no rows."""
    lines = list(columns(rows))
    if lines:
        yield ""
        yield title
        yield from lines


def columns(rows: Iterable[Row]) -> Iterator[str]:
    filled = [(key, value) for key, value in rows if value]
    width = max((len(key) for key, _ in filled), default=0)
    for key, value in filled:
        yield f"  {key:{width}}  {value}"


def pairs(mapping: Mapping[str, str]) -> str:
    return " ".join(f"{key}={shlex.quote(value)}" for key, value in mapping.items())
