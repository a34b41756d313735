"""What is wrong with a recipe: all of it, each with its table and key."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from assembler.errors import RecipeError
from assembler.model.secrets import Secrets

_LISTS: Final = frozenset({"source", "file", "step", "image"})
_TABLES: Final = frozenset({"vars", "base", "container", "prune"})

Location = tuple[str | int, ...]
"""Where a value stands in the TOML document: ``("step", 0, "run")``."""


class Problems:
    """Collects, so that one reading of the recipe tells everything that must be put right.

    A value that was complained about is not complained about again: what follows from a fault is no news.
    """

    def __init__(self, file: Path, tree: dict[str, Any]) -> None:
        self._file = file
        self._tree = tree
        self._lines: list[str] = []
        self._silent: set[Location] = set()
        self.secrets = Secrets()
        """What no message may show, although it may stand in the values that are complained about."""

    def add(self, at: Location, message: str) -> None:
        self._lines.append(self.secrets.mask(f"{self.name(at)}: {message}"))
        self.silence(at)

    def silence(self, at: Location) -> None:
        """Nothing more about this value: its fault is told somewhere else."""
        self._silent.add(at)

    def is_silent(self, at: Location) -> bool:
        return any(at[:length] in self._silent for length in range(1, len(at) + 1))

    def raise_if_any(self) -> None:
        if not self._lines:
            return
        count = f"{len(self._lines)} problems" if len(self._lines) > 1 else "a problem"
        raise RecipeError(
            f"{self._file} has {count}",
            detail="\n".join(self._lines),
            hint="`imgasm schema` prints every table and key that a recipe can have.",
        )

    def name(self, at: Location) -> str:
        """``[[step]] #2 "compile", run``: the table as the file has it, then the key."""
        table, rest = at[0], at[1:]
        if table == "--set":
            return f"--set {rest[0]}"
        if table in _LISTS and rest and isinstance(rest[0], int):
            return _joined(f"[[{table}]] #{rest[0] + 1}{self._title(table, rest[0])}", rest[1:])
        brackets = f"[[{table}]]" if table in _LISTS else f"[{table}]" if table in _TABLES else str(table)
        return _joined(brackets, rest)

    def _title(self, table: str | int, number: int) -> str:
        try:
            name = self._tree[str(table)][number]["name"]
        except (KeyError, IndexError, TypeError):
            return ""
        return f' "{name}"'


def _joined(table: str, keys: Location) -> str:
    path = ""
    for key in keys:
        path += f" #{key + 1}" if isinstance(key, int) else f".{key}" if path else key
    return f"{table}, {path}" if path else table
