"""Where in a TOML text each key and each value stands (TOML 1.0).

tomllib tells no positions, and no library that tells them is kept up: spanned-toml is of 2022, tomlkit keeps them to
itself. The text was read by tomllib before, so it is known to be right, and to find the ends of things is enough.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from typing import Final, NamedTuple

Location = tuple[str | int, ...]
"""Where a value stands in the TOML document: ``("step", 0, "run")``."""

_BLANK: Final = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_SPACE: Final = re.compile(r"[ \t]*")
_STRING: Final = re.compile(
    r'"""(?:[^\\]|\\.)*?"""(?:"{0,2})'
    r"|'''.*?'''(?:'{0,2})"
    r'|"(?:[^"\\\n]|\\.)*"'
    r"|'[^'\n]*'", re.DOTALL)  # fmt: skip
_BARE: Final = re.compile(r"[A-Za-z0-9_-]+")
_SCALAR: Final = re.compile(r"[^,\]}\n#]*[^,\]}\s#]")


class Span(NamedTuple):
    """Characters of the text, the end excluded."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Spot:
    """Of a table ``key`` is its header; of an item of a list it is the item, as ``value`` is."""

    key: Span
    value: Span


def positions(text: str) -> dict[Location, Spot]:
    """For each key, table and list item in the valid TOML ``text`` where it stands."""
    return _Scanner(text).scan()


class _Scanner:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._found: dict[Location, Spot] = {}
        self._tables: dict[Location, int] = {}
        """How many of each [[table]] there are so far."""

    def scan(self) -> dict[Location, Spot]:
        table: Location = ()
        self._skip(_BLANK)
        while self._at < len(self._text):
            table = self._header() if self._text[self._at] == "[" else self._pair(table)
            self._skip(_BLANK)
        return self._found

    def _header(self) -> Location:
        """``[a.b]`` or ``[[a.b]]``; returns the table that it opens."""
        start, several = self._at, self._text.startswith("[[", self._at)
        self._at += 2 if several else 1
        keys = self._keys()
        self._at += 2 if several else 1
        span = Span(start, self._at)
        path: Location = ()
        for number, (key, _) in enumerate(keys, 1):
            path = (*path, key)
            if several and number == len(keys):
                self._tables[path] = self._tables.get(path, 0) + 1
            self._found.setdefault(path, Spot(span, span))
            if path in self._tables:
                path = (*path, self._tables[path] - 1)
                self._found.setdefault(path, Spot(span, span))
        return path

    def _pair(self, table: Location) -> Location:
        """``key = value``; returns ``table``, in which it is."""
        path, keys = table, self._keys()
        self._at += 1
        self._skip(_SPACE)
        start = self._at
        for key, _ in keys[:-1]:
            path = (*path, key)
        last, own = keys[-1]
        self._value((*path, last))
        value = Span(start, self._at)
        for length, (_, span) in enumerate(keys, 1):
            at = (*table, *(name for name, _ in keys[:length]))
            self._found.setdefault(at, Spot(span, value))
        self._found[(*path, last)] = Spot(own, value)
        return table

    def _keys(self) -> list[tuple[str, Span]]:
        """A dotted key, up to what follows it."""
        keys = []
        while True:
            self._skip(_SPACE)
            start = self._at
            self._skip(_STRING if self._text[start] in "\"'" else _BARE)
            raw = self._text[start : self._at]
            keys.append((_unquoted(raw), Span(start, self._at)))
            self._skip(_SPACE)
            if not self._text.startswith(".", self._at):
                return keys
            self._at += 1

    def _value(self, path: Location) -> None:
        opening = self._text[self._at]
        if opening == "[":
            self._list(path)
        elif opening == "{":
            self._inline_table(path)
        else:
            self._skip(_STRING if opening in "\"'" else _SCALAR)

    def _list(self, path: Location) -> None:
        self._at += 1
        number = 0
        while self._next("]"):
            start = self._at
            self._value((*path, number))
            span = Span(start, self._at)
            self._found[(*path, number)] = Spot(span, span)
            number += 1
        self._at += 1

    def _inline_table(self, path: Location) -> None:
        self._at += 1
        while self._next("}"):
            self._pair(path)
        self._at += 1

    def _next(self, closing: str) -> bool:
        """Is there one more before ``closing``?"""
        self._skip(_BLANK)
        if self._text[self._at] == ",":
            self._at += 1
            self._skip(_BLANK)
        return self._text[self._at] != closing

    def _skip(self, pattern: re.Pattern[str]) -> None:
        match = pattern.match(self._text, self._at)
        self._at = match.end() if match else self._at


def _unquoted(key: str) -> str:
    if key[0] not in "\"'":
        return key
    (name,) = tomllib.loads(f"{key} = 0")
    return name
