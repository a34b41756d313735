"""Budgets on the command line."""

from __future__ import annotations

from typing import Annotated, Optional

import typer

from assembler.errors import UsageError
from assembler.model.budget import Budget, Growth
from assembler.model.size import parse_size


def _limit(option: str, what: str) -> object:
    return typer.Option(option, metavar="SIZE", help=f"Fail with exit code 10 if {what} is larger.")


_Text = Optional[str]  # noqa: UP045  Typer reads it at run time
MaxLayer = Annotated[_Text, _limit("--max-layer", "the layer, compressed,")]
MaxLayerUnpacked = Annotated[_Text, _limit("--max-layer-unpacked", "the layer, unpacked,")]
MaxImage = Annotated[_Text, _limit("--max-image", "the image, compressed,")]
MaxImageUnpacked = Annotated[_Text, _limit("--max-image-unpacked", "the image, unpacked,")]
MaxPeak = Annotated[_Text, _limit("--max-peak", "what the build needed on disk")]
MaxPath = Annotated[
    Optional[list[str]],  # noqa: UP045
    typer.Option("--max-path", metavar="GLOB=SIZE", help="As --max-layer, for the files that match a glob."),
]
MaxGrowth = Annotated[
    _Text, typer.Option("--max-growth", metavar="PERCENT|SIZE", help="How much more than --baseline is too much.")
]
GrowthFloor = Annotated[
    _Text, typer.Option("--growth-floor", metavar="SIZE", help="Growth below this never counts.")
]
Baseline = Annotated[
    _Text, typer.Option("--baseline", metavar="WHAT", help="A former build, a layout, or a reference in a registry.")
]


def budget(
    layer: str | None,
    layer_unpacked: str | None,
    image: str | None,
    image_unpacked: str | None,
    peak: str | None,
    paths: list[str] | None,
    growth: Growth | None,
) -> Budget:
    return Budget(
        layer=_size("--max-layer", layer),
        layer_unpacked=_size("--max-layer-unpacked", layer_unpacked),
        image=_size("--max-image", image),
        image_unpacked=_size("--max-image-unpacked", image_unpacked),
        peak=_size("--max-peak", peak),
        paths=tuple(map(_path, paths or ())),
        growth=growth,
    )


def growth(limit: str | None, floor: str | None, baseline: str | None) -> Growth | None:
    """From --max-growth and --growth-floor, which make sense with --baseline only."""
    if limit is None:
        if floor is not None or baseline is not None:
            raise UsageError("--baseline and --growth-floor need --max-growth", hint="--max-growth 5%")
        return None
    if baseline is None:
        raise UsageError("--max-growth needs --baseline", hint="Name a former build, a layout or a reference.")
    least = _size("--growth-floor", floor) or 0
    if not limit.endswith("%"):
        return Growth(0.0, max(least, _size("--max-growth", limit) or 0))
    try:
        return Growth(float(limit[:-1]), least)
    except ValueError as error:
        raise UsageError(f"--max-growth {limit} is not understood", hint="Write 5% or 1MB.") from error


def _path(text: str) -> tuple[str, int]:
    glob, equals, size = text.rpartition("=")
    if not equals or not glob.startswith("/"):
        raise UsageError(f"--max-path {text} is not understood", hint="Write it as --max-path '/usr/share/**=10MB'.")
    return glob, _size("--max-path", size) or 0


def _size(option: str, text: str | None) -> int | None:
    if text is None:
        return None
    try:
        return parse_size(text)
    except ValueError as error:
        raise UsageError(f"{option}: {error}") from error
