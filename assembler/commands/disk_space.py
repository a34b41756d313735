"""Is there room for this build? What the recipe's former build into the same output needed is the best estimate."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from assembler.engine.preflight import check_engine_space, check_space_at
from assembler.errors import ImgasmError
from assembler.report.build_records import Builds

if TYPE_CHECKING:
    from pathlib import Path

    from assembler.engine.client import Engine
    from assembler.progress import Progress

_ENGINE_LEAST: Final = 1_000_000_000
_OUTPUT_LEAST: Final = 200_000_000
"""Bytes, for a build that nobody has measured yet."""


def check_disk_space(engine: Engine, output: Path, recipe: str, progress: Progress) -> None:
    """Warns where it may get tight, and raises EngineError where it cannot work."""
    held, peak, written = _needed(output, recipe)
    for warning in (check_engine_space(engine, held, peak), check_space_at(output.absolute(), written, "the image")):
        if warning:
            progress.warn(warning)


def _needed(output: Path, recipe: str) -> tuple[int, int, int]:
    """Bytes on the engine's disk after a step, at the peak, and in the layout.

    What the former build still had after a step was counted file by file. Its peak was not always: in the records of
    imgasm 0.1 it may be the neighbours', too.
    """
    try:
        former = Builds.load(output).of_recipe(recipe)
    except ImgasmError:
        former = None
    if former is None:
        return _ENGINE_LEAST, 0, _OUTPUT_LEAST
    held = max(((step.layer or 0) + (step.scratch or 0) for step in former.steps), default=0)
    peak = max((step.peak or 0 for step in former.steps), default=0)
    return max(held, _ENGINE_LEAST), peak, sum(image.compressed for image in former.images)
