"""[image.budget]: what an image may cost at most."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from assembler.model.budget import Budget, Growth
from assembler.model.place import Place
from assembler.model.size import human
from assembler.recipe.table import Shorthand, Table
from assembler.recipe.values import Baseline, Glob, Percent, Size


class GrowthTable(Table):
    """How much more than a baseline is too much: more than the share and more than the floor."""

    percent: Percent = Field(default=0.0, description='"5%", or a number of percent.')
    floor: Size | None = Field(default=None, description="Growth below this never counts, however many percent it is.")
    baseline: Baseline | None = Field(
        default=None, description="A reference, or the path of a former build or a layout that begins with / or ./; "
        "by default what the registry has under the image's own reference.")


def _percent_alone(value: Any) -> Any:
    return {"percent": value} if isinstance(value, str) else value


class BudgetTable(Table):
    """What the image may cost at most. A broken budget fails the build with exit code 10 before anything is pushed."""

    layer: Size | None = Field(default=None, description="The layer, compressed.")
    layer_unpacked: Size | None = Field(default=None, description="The layer as a tar.")
    image: Size | None = Field(default=None, description="All layers of the image, compressed.")
    image_unpacked: Size | None = Field(default=None, description="All layers of the image as tars.")
    paths: dict[Glob, Size] = Field(default={}, description="For a glob, what the files that match it hold together.")
    peak: Size | None = Field(default=None, description="What the build itself needs on disk, scratch included.")
    growth: Annotated[GrowthTable, Shorthand(_percent_alone)] | None = Field(
        default=None, description='"5%" more than the baseline, or a table with percent, floor and baseline.')


def resolve(table: BudgetTable, layer: int | None, folder: Path) -> Budget:
    """``layer`` is the image's max_size."""
    return table.into(
        Budget,
        layer=table.layer or layer,
        paths=tuple(table.paths.items()),
        growth=_growth(table.growth, folder) if table.growth else None,
    )


def _growth(table: GrowthTable, folder: Path) -> Growth:
    baseline = Place.beside(table.baseline, folder) if table.baseline is not None else None
    return table.into(Growth, floor=table.floor or 0, baseline=baseline)


def text(budget: Budget) -> str:
    """For a plan."""
    return ", ".join(_limits(budget))


def _limits(budget: Budget) -> Iterator[str]:
    limits = {
        "layer": budget.layer, "layer unpacked": budget.layer_unpacked, "image": budget.image,
        "image unpacked": budget.image_unpacked, **dict(budget.paths), "peak": budget.peak,
    }  # fmt: skip
    yield from (f"{what} {human(limit)}" for what, limit in limits.items() if limit is not None)
    if budget.growth is not None:
        floor = f" and {human(budget.growth.floor)}" if budget.growth.floor else ""
        yield f"growth {budget.growth.percent:g} %{floor} beyond {budget.growth.baseline or 'what the registry has'}"
