"""``imgasm compare``: two builds by their records, or any two images by their layers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from assembler.commands.size_report import size_report
from assembler.errors import UsageError
from assembler.report.build_records import Builds
from assembler.report.compare import Comparison, Side, compare
from assembler.report.image_layers import as_record

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
        of_build = [isinstance(report, Builds) for report in reports]
        places = [f"oci:{name}" if is_build else name for name, is_build in zip(names, of_build, strict=True)]
        reports = [size_report(place, image, platform, world, deep=deep) for place in places]
    builds = [report if isinstance(report, Builds) else Builds(builds=(as_record(report),)) for report in reports]
    return compare(*(_side(name, build) for name, build in zip(names, builds, strict=True)))


def _side(name: str, builds: Builds) -> Side:
    found = list(builds.images())
    if len(found) != 1:
        names = ", ".join(image.reference or image.name for _, image in found)
        raise UsageError(f"{name} holds {len(found)} images", hint=f"Choose one with --image: {names}.")
    return Side.of(name, *found[0])
