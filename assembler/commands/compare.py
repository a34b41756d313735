"""``imgasm compare``: two builds by their records, or any two images by their layers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from assembler.commands.size_report import size_report
from assembler.errors import UsageError
from assembler.report.compare import Comparison, Side, compare
from assembler.report.layers import as_record
from assembler.report.record import BuildRecord

if TYPE_CHECKING:
    from assembler.model.platform import Platform
    from assembler.places.world import World


def compare_images(
    names: tuple[str, str], image: str | None, platform: Platform, world: World, *, deep: bool
) -> Comparison:
    """``names`` are the one before and the one after.

    Builds are compared by their new layers; where only one is a build, both are as what is in all their layers.
    """
    reports = [size_report(name, image, platform, world, deep=deep) for name in names]
    if len({type(report) for report in reports}) > 1:
        of_build = [isinstance(report, BuildRecord) for report in reports]
        places = [f"oci:{name}" if is_build else name for name, is_build in zip(names, of_build, strict=True)]
        reports = [size_report(place, image, platform, world, deep=deep) for place in places]
    records = [report if isinstance(report, BuildRecord) else as_record(report) for report in reports]
    return compare(*(_side(name, record) for name, record in zip(names, records, strict=True)))


def _side(name: str, record: BuildRecord) -> Side:
    if len(record.images) != 1:
        names = ", ".join(image.name for image in record.images)
        raise UsageError(f"{name} holds {len(record.images)} images", hint=f"Choose one with --image: {names}.")
    return Side.of(name, record, record.images[0])
