"""[prune]: what no image needs."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Annotated, Final

from pydantic import Field, WithJsonSchema

from assembler.model.prune_presets import PRESETS
from assembler.recipe.problems import Problems
from assembler.recipe.rows import Row
from assembler.recipe.table import Table
from assembler.recipe.values import VARIABLE, Glob, Text
from assembler.recipe.variables import suggestion

_KNOWN: Final = WithJsonSchema(
    {"anyOf": [*({"const": name, "description": preset.purpose} for name, preset in PRESETS.items()), VARIABLE]}
)


class PruneTable(Table):
    """What no image needs."""

    presets: list[Annotated[Text, _KNOWN]] = Field(
        default=[], description="Names of imgasm's own lists; `imgasm schema --presets` shows them all.")
    paths: list[Glob] = Field(default=[], description="Absolute globs; ** crosses directories.")


@dataclass(frozen=True, slots=True)
class Prune:
    presets: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()

    def to_json(self) -> dict[str, tuple[str, ...]]:
        """The globs by the preset that they come from; the recipe's own stand under ``paths``."""
        presets = {preset: PRESETS[preset].globs for preset in self.presets}
        return {**presets, "paths": self.paths} if self.paths else presets


def check(table: PruneTable, presets: Collection[str], problems: Problems) -> None:
    for number, preset in enumerate(table.presets):
        if preset not in presets:
            problems.add(("prune", "presets", number), f'there is no preset "{preset}"{suggestion(preset, presets)}',
                         hint="`imgasm schema --presets` shows them all, and what they stand for.")


def resolve(table: PruneTable) -> Prune:
    return table.into(Prune)


def rows(prune: Prune) -> Iterator[Row]:
    return ((name, " ".join(globs)) for name, globs in prune.to_json().items())


def presets_text() -> str:
    """Each preset with its purpose, and the globs that it stands for."""
    width = max(map(len, PRESETS))
    lines = []
    for name, preset in PRESETS.items():
        lines += [f"{name:{width}}  {preset.purpose}", *(f"{'':{width}}    {glob}" for glob in preset.globs)]
    return "\n".join(lines)
