"""``imgasm size-report``: of builds their records, of any other image its layers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from assembler.layer.byte_streams import Tapped
from assembler.layer.decompress import decompress
from assembler.places.check_place import named_place
from assembler.places.open import open_place
from assembler.report.build_records import Builds, is_build
from assembler.report.image_layers import Contents, LayersReport, Stored, contents_of, image_layers
from assembler.report.visible_files import VisibleFiles
from assembler.version import __version__

if TYPE_CHECKING:
    from collections.abc import Iterator

    from assembler.image.image import Image
    from assembler.model.platform import Platform
    from assembler.places.held_image import HeldImage
    from assembler.places.world import World
    from assembler.progress import Progress


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
        return _layers_report(held, world.progress, deep=deep or not held.is_partial)


def _layers_report(held: HeldImage, progress: Progress, *, deep: bool) -> LayersReport:
    """``deep`` reads every layer once, keeping none. A damaged layer is an ImageError, and so is one that no registry
    has."""
    image, rootfs = held.image, VisibleFiles() if deep else None
    sizes = _read(held, rootfs, progress) if rootfs is not None else []
    contents: Contents | None = contents_of(rootfs) if rootfs is not None else None
    return LayersReport(
        imgasm=__version__,
        name=held.place,
        manifest=str(image.descriptor.digest),
        platform=str(image.platform),
        layers=tuple(image_layers(list(_stored(image)), sizes, rootfs)),
        contents=contents,
    )


def _read(held: HeldImage, rootfs: VisibleFiles, progress: Progress) -> list[int]:
    """Every layer into ``rootfs``; their sizes as tars."""
    sizes: list[int] = []
    total = sum(descriptor.size for descriptor, _ in held.image.layers)
    with progress.task(f"reading {held.place}", total=total) as task:
        for descriptor, _ in held.image.layers:
            with held.open_layer(descriptor) as blob:
                packed = Tapped(blob, lambda data: task.advance(len(data)))
                plain = Tapped(decompress(packed))
                rootfs.apply(plain, packed.so_far)
            sizes.append(plain.count)
    return sizes


def _stored(image: Image) -> Iterator[Stored]:
    history = image.config.get("history")
    made = [entry for entry in history if isinstance(entry, dict)] if isinstance(history, list) else []
    words = [entry.get("created_by") for entry in made if not entry.get("empty_layer")]
    matching = len(words) == len(image.layers)
    for index, (descriptor, _) in enumerate(image.layers):
        word = words[index] if matching else None
        by = word if isinstance(word, str) else None
        yield Stored(str(descriptor.digest), descriptor.media_type, descriptor.size, by)
