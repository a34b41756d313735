"""``imgasm plan``: what a build would do, fully resolved, without an engine and without the network."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from pathlib import PurePath
from typing import Any

from assembler.model.secrets import Secrets
from assembler.recipe.lint import warnings
from assembler.recipe.recipe import Recipe, lines


@dataclass(frozen=True, slots=True)
class Plan:
    """``recipe`` has ``***`` for everything secret."""

    recipe: Recipe
    warnings: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """The recipe's values, ready for ``json.dumps``; of files the size is told, not the content."""
        recipe = _plain(self.recipe)
        del recipe["secrets"]
        return {**recipe, "warnings": list(self.warnings)}

    def lines(self) -> Iterator[str]:
        """The plan as text for people, without line ends."""
        yield from lines(self.recipe)
        yield from (f"warning: {warning}" for warning in self.warnings)


def plan(recipe: Recipe) -> Plan:
    return Plan(_masked(recipe, recipe.secrets.mask), tuple(map(recipe.secrets.mask, warnings(recipe))))


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
    if hasattr(value, "to_json"):
        value = value.to_json()
    if is_dataclass(value):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, tuple | frozenset):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, PurePath) else value
