"""What is wrong with a recipe: all of it, each with its place in the file, its table and its key."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from assembler.errors import Problem, RecipeError
from assembler.model.secrets import Secrets
from assembler.recipe.positions import Location, Span, Spot, positions

Standing = tuple[Location, str | None]
"""A value, or None where there is none, and where it stands."""

_LONGEST: Final = 160
"""Characters of a line that are quoted."""


@dataclass(frozen=True, slots=True)
class _Found:
    at: Location
    message: str
    part: str
    of_key: bool


class Problems:
    """Collects, so that one reading of the recipe tells everything that must be put right.

    A value that was complained about is not complained about again: what follows from a fault is not news.
    """

    def __init__(
        self, file: str, tree: dict[str, Any], text: str = "", headers: Mapping[str, str] | None = None
    ) -> None:
        """``text`` is what ``tree`` was read from; ``headers`` say how each table begins there: ``[[step]]``."""
        self._file = file
        self._tree = tree
        self._text = text
        self._headers = headers or {}
        self._found: list[_Found] = []
        self._hints: dict[str, None] = {}
        self._silent: set[Location] = set()
        self.secrets = Secrets()
        """What no message may show, although it may stand in the values that are complained about."""

    def add(self, at: Location, message: str, *, part: str = "", of_key: bool = False, hint: str | None = None) -> None:
        """``part`` is the text in the value that is wrong; ``of_key`` says that it is the key, and not its value."""
        self._found.append(_Found(at, message, part, of_key))
        if hint is not None:
            self._hints[hint] = None
        self.silence(at)

    def silence(self, at: Location) -> None:
        """Nothing more about this value: its fault is told somewhere else."""
        self._silent.add(at)

    def unique(self, values: Iterable[Standing]) -> None:
        """Complains about each that is there already."""
        seen: dict[str, Location] = {}
        for at, value in values:
            if value is None or seen.setdefault(value, at) == at or self.is_silent(at):
                continue
            self.add(at, f'"{value}" is used already: {self.name(seen[value])}')

    def is_silent(self, at: Location) -> bool:
        return any(at[:length] in self._silent for length in range(1, len(at) + 1))

    def raise_if_any(self) -> None:
        """A RecipeError that tells them in the order of the file."""
        if not self._found:
            return
        spots = positions(self._text)
        placed = sorted(((self._span(found, spots), found) for found in self._found),
                        key=lambda pair: pair[0] or Span(-1, -1))  # fmt: skip
        count = f"{len(placed)} problems" if len(placed) > 1 else "a problem"
        raise RecipeError(
            f"{self._file} has {count}",
            problems=[self._problem(found, span) for span, found in placed],
            hint=" ".join(self._hints) or None,
        )

    def _span(self, found: _Found, spots: dict[Location, Spot]) -> Span | None:
        """What of the text is meant: the value, what is wrong in it, the key, or the table that lacks it."""
        for length in range(len(found.at), 0, -1):
            spot = spots.get(found.at[:length])
            if spot is not None:
                if found.of_key:
                    return spot.key
                start = self._text.find(found.part, *spot.value) if found.part else -1
                return spot.value if start < 0 else Span(start, start + len(found.part))
        return None

    def _problem(self, found: _Found, span: Span | None) -> Problem:
        mask = self.secrets.mask
        if found.at[0] == "--set" and "--set" not in self._tree:  # a key of a recipe can be called so, too
            return Problem(f"--set {found.at[1]}", "", mask(found.message))
        what, message = self.name(found.at), mask(found.message)
        if span is None:
            return Problem(str(self._file), what, message)
        line, column, quote, width = quoted(self._text, span)
        shown = mask(quote)
        if shown != quote:
            return Problem(f"{self._file}:{line}:{column}", what, message, shown)
        return Problem(f"{self._file}:{line}:{column}", what, message, quote, column - 1, width)

    def name(self, at: Location) -> str:
        """``[[step]] #2 "compile", run``: the table as the file has it, then the key."""
        table, rest = at[0], at[1:]
        header = self._headers.get(str(table), str(table))
        if header.startswith("[[") and rest and isinstance(rest[0], int):
            return _joined(f"{header} #{rest[0] + 1}{self._title(table, rest[0])}", rest[1:])
        return _joined(header, rest)

    def _title(self, table: str | int, number: int) -> str:
        try:
            name = self._tree[str(table)][number]["name"]
        except (KeyError, IndexError, TypeError):
            return ""
        return f' "{name}"'


def quoted(text: str, span: Span) -> tuple[int, int, str, int]:
    """Line and column of ``span``, both from 1, that line as it is shown, and how much of it is meant."""
    begin = text.rfind("\n", 0, span.start) + 1
    line = text[begin:].partition("\n")[0].rstrip()
    width = max(1, min(span.end, begin + len(line)) - span.start)
    column = span.start - begin + 1
    if column + width > _LONGEST:
        width = max(1, _LONGEST - column)
    return text.count("\n", 0, begin) + 1, column, line[:_LONGEST].replace("\t", " "), width


def _joined(table: str, keys: Location) -> str:
    path = ""
    for key in keys:
        path += f" #{key + 1}" if isinstance(key, int) else f".{key}" if path else key
    return f"{table}, {path}" if path else table
