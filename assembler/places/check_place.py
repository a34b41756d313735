"""Recognizes what was named by mistake: nothing, a recipe, a part of a layout, a text file."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Final

from assembler.errors import ImageError, UsageError
from assembler.model.place import KINDS, Place, Store

_HEAD: Final = 512
_TEXT: Final = bytes(range(32, 127)) + b"\t\n\r\f\x1b" + bytes(range(128, 256))
"""No tar header and no compressed stream consists of these alone: both have NULs or other controls in the first 512
bytes."""


def named_place(text: str) -> Place:
    """Where the image is that somebody names; UsageError and ImageError as :func:`check_presence` has them."""
    place = Place.parse(text)
    check_presence(place)
    return place


def check_presence(place: Place) -> None:
    """UsageError where no image can be at ``place``, ImageError for a file that is not an archive.

    Engines and registries say themselves what they do not have.
    """
    if place.store is Store.LAYOUT:
        _check_directory(place.path)
    elif place.store is Store.ARCHIVE:
        _check_file(place.path)


def _check_directory(path: Path) -> None:
    if not path.exists():
        raise UsageError(f"There is nothing at {path}", hint=KINDS)
    if not path.is_dir():
        raise UsageError(f"{path} is a file, not a layout's directory",
                         hint=f"Name an archive without `oci:`, or as oci-archive:{path}.")


def _check_file(path: Path) -> None:
    if not path.exists():
        raise UsageError(f"There is nothing at {path}", hint=KINDS)
    if path.is_dir():
        raise UsageError(f"{path} is a directory, not an archive", hint=f"Name a layout as {path} or oci:{path}.")
    layout = next((above for above in path.absolute().parents[:3] if (above / "oci-layout").is_file()), None)
    if layout is not None and path.name != "oci-layout" and _is_part(path, layout):
        raise UsageError(f"{path} is a part of the OCI layout {layout}", hint=f"Name the directory: {layout}.")
    if path.suffix == ".toml":
        raise UsageError(f"{path} is a recipe, not an image", hint=_build_of(path))
    with path.open("rb") as file:
        head = file.read(_HEAD)
    if not head:
        raise ImageError(f"{path} is empty", hint="Make or fetch the archive again.")
    if not head.translate(None, _TEXT):
        raise ImageError(f"{path} is a text file, not an archive", hint=KINDS)


def _is_part(path: Path, layout: Path) -> bool:
    inside = path.absolute().relative_to(layout)
    return inside.parts[0] == "blobs" or inside == Path("index.json")


def _build_of(recipe: Path) -> str:
    """Where the recipe's images are, as far as the recipe can be read."""
    build = f"imgasm build {recipe} makes its images"
    try:
        name = tomllib.loads(recipe.read_text(encoding="utf-8")).get("name")
    except (OSError, ValueError):
        return f"`{build}`; then name the directory that they are in."
    directory = Path("build", str(name))
    there = os.path.isfile(directory / "index.json")
    return f"Its images are in {directory}: name that." if there else f"`{build}` in {directory}; then name that."
