"""Opens a recipe together with its lock file: what every command that takes a recipe begins with."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from assembler.model.presets import PRESETS
from assembler.recipe.load import load
from assembler.recipe.model import Recipe
from assembler.source import lock


def open_recipe(path: Path, overrides: Mapping[str, str]) -> Recipe:
    """Raises RecipeError, and SourceError for a lock file that is damaged."""
    pins = lock.read(lock.lock_path(path))
    locked = {source: pin.sha256 for source, pin in pins.items()}
    return load(path, overrides, presets=PRESETS.keys(), locked=locked)
