"""Into an engine: as an archive on its client's standard input."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from assembler.image.annotations import BASE_NAME
from assembler.image.image import image_of, read_image
from assembler.image.manifests import RawManifest
from assembler.image.read_archive import read_archive
from assembler.image.write_archive import write_archive
from assembler.layer.compress import compressor
from assembler.model.descriptor import Descriptor, canonical_json
from assembler.model.digest import Digest
from assembler.places.piped import piped
from assembler.places.temporary_layout import temporary_layout

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from assembler.engine.client import Engine
    from assembler.image.image import Image
    from assembler.image.layout import Layout
    from assembler.model.reference import Reference
    from assembler.places.held_image import HeldImage
    from assembler.places.world import World
    from assembler.progress import Progress


@dataclass(frozen=True, slots=True)
class LoadedImage:
    """``references`` are its names in the engine, ``identity`` the engine's id of it, ``digest`` its manifest's."""

    references: tuple[Reference, ...]
    identity: str
    digest: Digest


def into_engine(
    held: HeldImage, names: Sequence[Reference], engine: Engine, world: World, *, copy_far: bool
) -> LoadedImage:
    """One image, under all of ``names``. zstd layers go in plain, so that every engine can read them.

    Layers of a base that are not here are the engine's own where it has them; from a registry they come only with
    ``copy_far``, and stay in the world's cache no longer than the loading takes.
    """
    image = held.image
    with temporary_layout(world.cache) as store:
        whole = _filled_by(engine, held, store, world.progress) or held.whole(store, world.progress, copy_far=copy_far)
        identity = _load(whole, names[:1], engine, world.progress)
    for name in names[1:]:
        engine.images.tag(identity, str(name))
    return LoadedImage(tuple(names), identity, image.descriptor.digest)


def _load(held: HeldImage, names: Sequence[Reference], engine: Engine, progress: Progress) -> str:
    image, store = held.image, held.store
    assert store is not None
    with (
        progress.task(f"loading {names[0] if names else held.digest.short}") as task,
        piped(
            lambda sink: write_archive(store, [(image, names)], sink, plain_layers=True, advance=task.advance)
        ) as archive,
    ):
        return engine.images.load(archive)


def _filled_by(engine: Engine, held: HeldImage, store: Layout, progress: Progress) -> HeldImage | None:
    """``held`` with its base's layers as ``engine`` has them: the same files, in other blobs. None if it has not, or if
    nothing of it is here."""
    if held.store is None or not held.far:
        return None
    image = held.image
    base = (image.manifest.get("annotations") or {}).get(BASE_NAME)
    identity = engine.images.find(base) if isinstance(base, str) else None
    if identity is None:
        return None
    progress.say(f"the base's layers are taken from {engine.name}, which has {base}")
    with engine.images.save(identity) as archive:
        entries = read_archive(archive, store, lambda: compressor("none"), of_engine=True)
    saved = read_image(store, entries[0], image.platform)
    there = {diff_id: descriptor for descriptor, diff_id in saved.layers}
    far = {blob.digest for blob in held.far}
    if any(diff_id not in there for layer, diff_id in image.layers if layer.digest in far):
        return None
    held.bring(store)
    near = {diff_id: layer for layer, diff_id in image.layers if layer.digest not in far}
    return held.with_image(_with_layers(image, {**there, **near}), store)


def _with_layers(image: Image, layers: Mapping[Digest, Descriptor]) -> Image:
    manifest = {**image.manifest, "layers": [layers[diff_id].to_json() for _, diff_id in image.layers]}
    data = canonical_json(manifest)
    descriptor = Descriptor.of(image.descriptor.media_type, data)
    return image_of(RawManifest(descriptor, data), image.config_bytes)
