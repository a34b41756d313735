"""``imgasm plan``: what a build would do, fully resolved, without an engine and without the network."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from pathlib import PurePath
from typing import Any

from assembler.commands import plan_text
from assembler.model.prune_presets import PRESETS
from assembler.model.secrets import Secrets
from assembler.recipe.files import plan_json
from assembler.recipe.lint import warnings
from assembler.recipe.model import File, Folder, Recipe


@dataclass(frozen=True, slots=True)
class Plan:
    """``recipe`` has ``***`` for everything secret. ``prune`` holds the globs by the preset that they come from; the
    recipe's own stand under ``paths``."""

    recipe: Recipe
    prune: Mapping[str, tuple[str, ...]]
    warnings: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """The recipe's values and the globs, ready for ``json.dumps``; of files the size is told, not the content."""
        recipe = _plain(self.recipe)
        del recipe["secrets"]
        return {**recipe, "prune": _plain(self.prune), "warnings": list(self.warnings)}

    def lines(self) -> Iterator[str]:
        """The plan as text for people, without line ends."""
        return plan_text.lines(self.recipe, self.prune, self.warnings)


def plan(recipe: Recipe) -> Plan:
    prune = {preset: PRESETS[preset].globs for preset in recipe.prune.presets}
    if recipe.prune.paths:
        prune["paths"] = recipe.prune.paths
    return Plan(_masked(recipe, recipe.secrets.mask), prune, tuple(map(recipe.secrets.mask, warnings(recipe))))


def _masked(value: Any, mask: Callable[[str], str]) -> Any:
    """Before anything quotes or escapes the texts in it: a secret would have another form then."""
    if isinstance(value, Secrets):
        return Secrets()
    if is_dataclass(value) and not isinstance(value, type):
        return replace(value, **{field.name: _masked(getattr(value, field.name), mask) for field in fields(value)})
    if isinstance(value, dict):
        return {key: _masked(item, mask) for key, item in value.items()}
    if isinstance(value, tuple):
        return tuple(_masked(item, mask) for item in value)
    return mask(value) if isinstance(value, str) else value


def _plain(value: Any) -> Any:
    if isinstance(value, File | Folder):
        return plan_json(value)
    if is_dataclass(value):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, tuple | frozenset):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, PurePath) else value
