"""Budgets on the command line."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import typer

from assembler.errors import UsageError
from assembler.model.budget import Budget, Growth
from assembler.model.size import parse_size


def _limit(option: str, what: str) -> object:
    return typer.Option(option, metavar="SIZE", help=f"Fail with exit code 10 if {what} is larger.")


@dataclass(frozen=True)
class BudgetOptions:
    """What an image may weigh."""

    max_layer: Annotated[str | None, _limit("--max-layer", "the layer, compressed,")] = None
    max_layer_unpacked: Annotated[str | None, _limit("--max-layer-unpacked", "the layer, unpacked,")] = None
    max_image: Annotated[str | None, _limit("--max-image", "the image, compressed,")] = None
    max_image_unpacked: Annotated[str | None, _limit("--max-image-unpacked", "the image, unpacked,")] = None
    max_peak: Annotated[str | None, _limit("--max-peak", "what the build needed on disk")] = None
    max_path: Annotated[
        list[str] | None,
        typer.Option("--max-path", metavar="GLOB=SIZE", help="As --max-layer, for the files that match a glob."),
    ] = None
    max_growth: Annotated[
        str | None,
        typer.Option("--max-growth", metavar="PERCENT|SIZE",
                     help="Fail with exit code 10 if the image grew by more than this since --baseline."),
    ] = None  # fmt: skip
    growth_floor: Annotated[
        str | None, typer.Option("--growth-floor", metavar="SIZE", help="Growth below this never counts.")
    ] = None
    baseline: Annotated[
        str | None,
        typer.Option("--baseline", metavar="WHAT", help="A former build, a layout, or a reference in a registry."),
    ] = None

    def budget(self) -> Budget:
        return Budget(
            layer=parse("--max-layer", self.max_layer),
            layer_unpacked=parse("--max-layer-unpacked", self.max_layer_unpacked),
            image=parse("--max-image", self.max_image),
            image_unpacked=parse("--max-image-unpacked", self.max_image_unpacked),
            peak=parse("--max-peak", self.max_peak),
            paths=tuple(map(_path, self.max_path or ())),
            growth=self._growth(),
        )

    def _growth(self) -> Growth | None:
        limit = self.max_growth
        if limit is None:
            if self.growth_floor is not None or self.baseline is not None:
                raise UsageError("--baseline and --growth-floor need --max-growth", hint="--max-growth 5%")
            return None
        if self.baseline is None:
            raise UsageError("--max-growth needs --baseline", hint="Name a former build, a layout or a reference.")
        least = parse("--growth-floor", self.growth_floor) or 0
        if not limit.endswith("%"):
            return Growth(0.0, max(least, parse("--max-growth", limit) or 0))
        try:
            return Growth(float(limit[:-1]), least)
        except ValueError as error:
            raise UsageError(f"--max-growth {limit} is not understood", hint="Write 5% or 1MB.") from error


def parse(option: str, text: str | None) -> int | None:
    """A size in bytes, as ``option`` has it."""
    if text is None:
        return None
    try:
        return parse_size(text)
    except ValueError as error:
        raise UsageError(f"{option}: {error}") from error


def _path(text: str) -> tuple[str, int]:
    glob, equals, size = text.rpartition("=")
    if not equals or not glob.startswith("/"):
        raise UsageError(f"--max-path {text} is not understood", hint="Write it as --max-path '/usr/share/**=10MB'.")
    return glob, parse("--max-path", size) or 0
