"""[[cache]]: directories that builds have in common."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from pydantic import Field

from assembler.recipe.problems import Problems, Standing
from assembler.recipe.rows import Row
from assembler.recipe.table import Table
from assembler.recipe.values import Name, ScratchPath


class CacheTable(Table):
    """A directory on a volume that stays from build to build: for apt's archives or ccache. No layer ever holds it."""

    name: Name = Field(description="All recipes that name it have the same one, on each engine.")
    path: ScratchPath = Field(description="Where it is mounted.")
    shared: bool = Field(
        default=False, description="Whether builds use it at the same time; by default the others wait.")


@dataclass(frozen=True, slots=True)
class Cache:
    """``path`` is in the container."""

    name: str
    path: PurePosixPath
    shared: bool = False

    @property
    def volume(self) -> str:
        """What the engine calls it."""
        return f"imgasm-cache-{self.name}"


def check(tables: Sequence[CacheTable], scratch: Sequence[str], problems: Problems) -> None:
    problems.unique((("cache", number, "name"), cache.name) for number, cache in enumerate(tables))
    for number, cache in enumerate(tables):
        if cache.path in scratch:
            problems.add(("cache", number, "path"), f'"{cache.path}" is scratch already')


def places(tables: Sequence[CacheTable]) -> list[Standing]:
    return [(("cache", number, "path"), cache.path) for number, cache in enumerate(tables)]


def resolve(table: CacheTable) -> Cache:
    return table.into(Cache, path=PurePosixPath(table.path))


def row(cache: Cache) -> Row:
    return cache.name, f"{cache.path}{', shared' if cache.shared else ''}"
