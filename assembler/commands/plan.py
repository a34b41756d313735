"""``imgasm plan``: what a build would do, fully resolved, without an engine and without the network."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from pathlib import PurePath
from typing import Any

from assembler.changeset.presets import PRESETS
from assembler.commands import plan_text
from assembler.recipe.lint import warnings
from assembler.recipe.model import File, Recipe


@dataclass(frozen=True, slots=True)
class Plan:
    """``prune`` holds the globs by the preset that they come from; the recipe's own stand under ``paths``."""

    recipe: Recipe
    prune: Mapping[str, tuple[str, ...]]
    warnings: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """The recipe's values and the globs, ready for ``json.dumps``; of files the size is told, not the content."""
        recipe = _plain(self.recipe)
        return {**recipe, "prune": _plain(self.prune), "warnings": list(self.warnings)}

    def lines(self) -> Iterator[str]:
        """The plan as text for people, without line ends."""
        return plan_text.lines(self.recipe, self.prune, self.warnings)


def plan(recipe: Recipe) -> Plan:
    prune = {preset: PRESETS[preset] for preset in recipe.prune.presets}
    if recipe.prune.paths:
        prune["paths"] = recipe.prune.paths
    return Plan(recipe, prune, tuple(warnings(recipe)))


def _plain(value: Any) -> Any:
    if isinstance(value, File):
        return {"path": str(value.path), "size": len(value.content), "mode": f"{value.mode:04o}"}
    if is_dataclass(value):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, PurePath) else value
