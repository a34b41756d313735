"""Makes a thin image whole: what is not here comes from an engine that has the base, or from the base's registry."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from assembler.commands import cargo as cargos
from assembler.errors import ImageError
from assembler.image.annotations import BASE_NAME
from assembler.image.documents import blobs_of
from assembler.image.image import parse_image
from assembler.image.load import read_archive
from assembler.layer.compress import compressor
from assembler.model.digest import Digest
from assembler.model.oci import Descriptor, canonical_json
from assembler.model.size import human

if TYPE_CHECKING:
    from collections.abc import Mapping

    from assembler.commands.cargo import Cargo
    from assembler.commands.registries import Registries
    from assembler.engine.client import Engine
    from assembler.image.image import Image
    from assembler.image.store import BlobStore
    from assembler.progress import Progress


def fill(cargo: Cargo, store: BlobStore, registries: Registries, progress: Progress, *, copy_far: bool) -> Cargo:
    """``cargo`` with all its blobs in ``store``, if it is not whole already. ImageError where that was not allowed."""
    far = cargo.far()
    if not far:
        return cargo
    size = sum(blob.size for blob in far)
    if not copy_far:
        places = ", ".join(origin.name for origin in cargo.origins) or "a registry that is not known"
        raise ImageError(
            f"{human(size)} ({size} bytes) of the image's base are not here: they stayed in {places}",
            hint="--copy-base-layers gets them from there; imgasm push can do without.",
        )
    adopt(cargo, store)
    with progress.task("getting the base's layers", total=size) as task:
        for blob in far:
            registries.fetch(blob, cargo.origins, store, task.advance)
    return replace(cargo, store=store)


def fill_from_engine(cargo: Cargo, store: BlobStore, engine: Engine, progress: Progress) -> Cargo | None:
    """``cargo`` with its base's layers as ``engine`` has them: the same files, in other blobs. None if it has not."""
    image = cargo.image
    base = (image.manifest.get("annotations") or {}).get(BASE_NAME) if image is not None else None
    identity = engine.images.find(base) if isinstance(base, str) else None
    if image is None or identity is None:
        return None
    progress.say(f"the base's layers are taken from {engine.name}, which has {base}")
    with engine.images.save(identity) as archive:
        saved = read_archive(archive, store, lambda: compressor("none"))[0].image
    there = {diff_id: descriptor for descriptor, diff_id in saved.layers}
    far = {blob.digest for blob in cargo.far()}
    if any(diff_id not in there for layer, diff_id in image.layers if layer.digest in far):
        return None
    adopt(cargo, store)
    return cargos.of_image(_with_layers(image, {**there, **_near(image, far)}), store)


def adopt(cargo: Cargo, store: BlobStore) -> None:
    """Takes the blobs that are here over into ``store``."""
    for blob in blobs_of(cargo.documents):
        if cargo.store is not None and cargo.store.has(blob):
            store.adopt(cargo.store, blob)


def _near(image: Image, far: set[Digest]) -> dict[Digest, Descriptor]:
    return {diff_id: layer for layer, diff_id in image.layers if layer.digest not in far}


def _with_layers(image: Image, layers: Mapping[Digest, Descriptor]) -> Image:
    manifest = {**image.manifest, "layers": [layers[diff_id].to_json() for _, diff_id in image.layers]}
    data = canonical_json(manifest)
    descriptor = Descriptor(image.descriptor.media_type, Digest.of(data), len(data))
    return parse_image(descriptor, data, image.config_bytes)
