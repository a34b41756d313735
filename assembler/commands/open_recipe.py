"""Opens a recipe together with its lock file: what every command that takes a recipe begins with."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from assembler.model.prune_presets import PRESETS
from assembler.recipe.load import Origin, load
from assembler.recipe.recipe import STANDARD_INPUT, Recipe
from assembler.source import lock_file


def open_recipe(path: Path, overrides: Mapping[str, str], content: bytes | None = None) -> Recipe:
    """``content`` is that of STANDARD_INPUT, which has no lock file, and whose paths begin at the working directory.

    Raises RecipeError, and SourceError for a lock file that is damaged.
    """
    pins = lock_file.read(lock_file.lock_path(path)) if path != STANDARD_INPUT else {}
    locked = {source: pin.sha256 for source, pin in pins.items()}
    return load(Origin(path, content), overrides, presets=PRESETS.keys(), locked=locked)
