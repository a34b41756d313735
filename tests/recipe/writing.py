"""Recipes for tests: written as text, as people write them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from textwrap import dedent

import pytest

from assembler.errors import RecipeError
from assembler.recipe.load import Origin, load
from assembler.recipe.recipe import Recipe

PRESETS = ("apt", "docs", "python")

SMALL = """
    name = "small"
    [base]
    image = "debian:bookworm"
    [[step]]
    name = "one"
    run = "true"
    [[image]]
    name = "out"
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "some.toml"
    path.write_text(dedent(text))
    return path


def read(
    folder: Path,
    text: str,
    overrides: Mapping[str, str] | None = None,
    *,
    locked: Mapping[str, str] | None = None,
) -> Recipe:
    return load(Origin(write(folder, text)), overrides or {}, presets=PRESETS, locked=locked)


def problems(folder: Path, text: str, overrides: Mapping[str, str] | None = None) -> list[str]:
    """The lines of the error that ``text`` must give."""
    with pytest.raises(RecipeError) as raised:
        read(folder, text, overrides)
    return told(raised.value)


def told(error: RecipeError) -> list[str]:
    """The problems without their places."""
    return [f"{one.what or one.where}: {one.message}" for one in error.problems]
