"""Is there room for this build? What the recipe's former build into the same output needed is the best estimate;
without one, what goes into it is."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, urlsplit

from assembler.engine.preflight import check_engine_space, check_space_at
from assembler.errors import ImgasmError
from assembler.report.build_records import Builds

if TYPE_CHECKING:
    from assembler.engine.runner import Runner
    from assembler.progress import Progress
    from assembler.recipe.recipe import Recipe

_UNPACKED: Final = 3
"""How much larger than its compressed form a file tree usually is."""
_BOOTSTRAP: Final = 300_000_000
_LEAST: Final = 50_000_000
"""Bytes, for a build that nobody has measured yet."""


def check_disk_space(engine: Runner, output: Path, recipe: Recipe, progress: Progress) -> None:
    """Warns where it may get tight."""
    held, written = _needed(output, recipe)
    for warning in (check_engine_space(engine, held), check_space_at(output.absolute(), written, "the image")):
        if warning:
            progress.warn(warning)


def _needed(output: Path, recipe: Recipe) -> tuple[int, int]:
    """Bytes on the engine's disk, and in the layout."""
    try:
        former = Builds.load(output).of_recipe(recipe.name)
    except ImgasmError:
        former = None
    if former is None:
        return _of_inputs(recipe), _LEAST
    held = max(((step.layer or 0) + (step.scratch or 0) for step in former.steps), default=0)
    peak = max((step.peak or 0 for step in former.steps), default=0)
    return max(held, peak, _LEAST), sum(image.compressed for image in former.images)


def _of_inputs(recipe: Recipe) -> int:
    """The base, unless it is an image that the engine may have, and the sources that are on this machine, unpacked."""
    if recipe.base.bootstrap is not None:
        base = _BOOTSTRAP
    else:
        base = _UNPACKED * _size(recipe.base.rootfs or recipe.base.layout)
    local = (Path(unquote(urlsplit(source.url).path)) for source in recipe.sources if source.url.startswith("file:"))
    return base + _UNPACKED * sum(map(_size, local)) + _LEAST


def _size(place: Path | str | None) -> int:
    """Of a file, or of the files in a directory; 0 where there is none."""
    if place is None:
        return 0
    try:
        files = list(Path(place).rglob("*")) or [Path(place)]
        return sum(path.stat().st_size for path in files if path.is_file())
    except OSError:
        return 0
