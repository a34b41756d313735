"""``imgasm size-report``: of builds their records, of any other image its layers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from assembler.commands.survey import survey
from assembler.places.open import open_place
from assembler.places.presence import named_place
from assembler.report.builds import Builds, is_build

if TYPE_CHECKING:
    from assembler.model.platform import Platform
    from assembler.places.world import World
    from assembler.report.layers import LayersReport


def size_report(
    what: str, image: str | None, platform: Platform, world: World, *, deep: bool
) -> Builds | LayersReport:
    """``image`` chooses one of several, ``platform`` from an index. Of an image whose layers are in a registry only the
    manifest is read, unless ``deep``.

    ``oci:`` before a build's directory gives its image's layers.
    """
    if is_build(Path(what)):
        return Builds.load(Path(what)).only(image)
    with open_place(named_place(what), world) as found:
        held = found.one(image, platform).for_platform(platform)
        return survey(held, world.progress, deep=deep or not held.is_partial)
