"""``imgasm size-report``: of a build its record, of any other image its layers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from assembler.commands.survey import survey
from assembler.errors import UsageError
from assembler.model.place import Place
from assembler.places.open import open_place
from assembler.report.record import RECORD_NAME, BuildRecord

if TYPE_CHECKING:
    from assembler.model.platform import Platform
    from assembler.places.world import World
    from assembler.report.layers import LayersReport


def size_report(
    what: str, image: str | None, platform: Platform, world: World, *, deep: bool
) -> BuildRecord | LayersReport:
    """``image`` chooses one of several, ``platform`` from an index. Of an image whose layers are in a registry only the
    manifest is read, unless ``deep``.

    ``oci:`` before a build's directory gives its image's layers.
    """
    if is_build(what):
        return _only(BuildRecord.load(Path(what)), image)
    with open_place(Place.parse(what), world) as found:
        held = found.one(image, platform).for_platform(platform)
        return survey(held, world.progress, deep=deep or not held.far_layers)


def is_build(what: str) -> bool:
    """Is it a build's directory, or the record in it?"""
    path = Path(what)
    return (path / RECORD_NAME).is_file() or (path.name == RECORD_NAME and path.is_file())


def _only(record: BuildRecord, name: str | None) -> BuildRecord:
    if name is None:
        return record
    found = tuple(image for image in record.images if name in (image.name, image.reference))
    if not found:
        names = ", ".join(image.name for image in record.images)
        raise UsageError(f"The build has no image {name}", hint=f"It has: {names}.")
    return record.model_copy(update={"images": found})
