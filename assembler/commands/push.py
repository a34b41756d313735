"""``imgasm push``: images of a layout into their registries."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

from assembler.commands import cargo as cargos
from assembler.commands.cargo import Cargo
from assembler.commands.scratch import scratch_layout
from assembler.errors import UsageError
from assembler.image.annotations import FULL_NAME
from assembler.image.assemble import compose_index
from assembler.image.docker import as_docker
from assembler.image.image import Image, read_image
from assembler.image.layout import Layout
from assembler.image.recode import recode
from assembler.model import media
from assembler.model.reference import Reference

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from assembler.commands.registries import Registries
    from assembler.image.store import BlobStore
    from assembler.model.digest import Digest
    from assembler.model.oci import Descriptor
    from assembler.progress import Progress
    from assembler.registry.push import PushOptions, PushReport


@dataclass(frozen=True, slots=True)
class Wanted:
    """``destination`` is a reference, by default the one that each image was built for; ``name`` one image of the
    layout, by default all.

    ``tags`` are given besides the reference's own. ``index`` is the reference of an index over all that is pushed.
    ``compression`` converts layers on the way, ``docker`` the manifest: the layout stays what it is.
    ``copy_base_layers`` allows to copy from other registries what the layout lacks and no registry can mount.
    """

    destination: str | None = None
    name: str | None = None
    tags: tuple[str, ...] = ()
    index: str | None = None
    compression: str | None = None
    docker: bool = False
    copy_base_layers: bool = False


@dataclass(frozen=True, slots=True)
class Pushed:
    """``reference`` is what to pull; ``report`` says what went over the wire."""

    reference: Reference
    report: PushReport


def push_layout(
    what: Path, wanted: Wanted, registries: Registries, progress: Progress, options: PushOptions, scratch: Path
) -> list[Pushed]:
    """Pushes what is ``wanted`` of the layout in ``what``. Converted blobs lie below ``scratch`` meanwhile."""
    layout = Layout.open(what)
    chosen = [layout.find(wanted.name)] if wanted.name or wanted.destination else list(layout.index())
    with ExitStack() as stack:
        convert = _Converter(layout, wanted, scratch, progress, stack)
        loads = [convert.cargo(listed) for listed in chosen]
        if wanted.index is not None:
            target = Reference.parse(wanted.index).with_default_tag()
            shipments = [_with_index(loads, chosen, target, wanted)]
        else:
            shipments = _one_by_one(loads, chosen, wanted, layout)
        return [
            Pushed(one.target, cargos.send(one.cargos, one.target, one.tags, registries, progress, options,
                                           copy_far=wanted.copy_base_layers))
            for one in shipments
        ]  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Shipment:
    """What goes into one repository at once, so that an index never is there before its images."""

    cargos: Sequence[Cargo]
    target: Reference
    tags: dict[Digest, tuple[str, ...]]


def _one_by_one(
    loads: Sequence[Cargo], chosen: Sequence[Descriptor], wanted: Wanted, layout: Layout
) -> list[_Shipment]:
    if len(loads) > 1 and wanted.tags:
        raise UsageError(f"--tag is for one image, and the layout {layout.root} holds {len(loads)}",
                         hint="Choose one with --image.")
    shipments = []
    for load, listed in zip(loads, chosen, strict=True):
        target = Reference.parse(wanted.destination) if wanted.destination else _own_reference(listed, layout)
        target = target.with_default_tag()
        shipments.append(_Shipment([load], target, {load.last.descriptor.digest: _tags(target, wanted)}))
    return shipments


def _with_index(loads: Sequence[Cargo], chosen: Sequence[Descriptor], target: Reference, wanted: Wanted) -> _Shipment:
    """All images into the index's repository; those that were built for that one keep their own tags there."""
    images = {load.last.descriptor.digest: load.image for load in loads if load.image is not None}
    if wanted.destination or any(load.image is None for load in loads):
        raise UsageError("--index makes an index over the images of a layout",
                         hint="Give its reference to --index alone, and choose images that are no index themselves.")
    index = compose_index(images.values())
    tags = {index.descriptor.digest: _tags(target, wanted)}
    for load, listed in zip(loads, chosen, strict=True):
        own = _named(listed)
        if own is not None and own.name == target.name and own.tag:
            digest = load.last.descriptor.digest
            tags[digest] = (*tags.get(digest, ()), own.tag)
    return _Shipment([*loads, Cargo((index,), loads[0].store)], target, tags)


def _tags(target: Reference, wanted: Wanted) -> tuple[str, ...]:
    for tag in wanted.tags:
        Reference.parse(f"{target.name}:{tag}")  # refuses what is no tag
    return tuple(dict.fromkeys((*([target.tag] if target.tag else []), *wanted.tags)))


def _named(listed: Descriptor) -> Reference | None:
    """The reference that index.json gives an image; None for none, or one of this machine only."""
    called = listed.annotations.get(FULL_NAME, "")
    reference = Reference.parse(called) if called else None
    return None if reference is None or reference.registry == "localhost" else reference


def _own_reference(listed: Descriptor, layout: Layout) -> Reference:
    reference = _named(listed)
    if reference is None:
        raise UsageError(
            f"the image {listed.annotations.get(FULL_NAME) or listed.digest} in {layout.root} has no reference in a "
            "registry",
            hint="Give it one: reference = \"registry.example.com/team/image:tag\" in the recipe's [[image]], "
            "or imgasm push WHAT DEST.",
        )
    return reference


class _Converter:
    """Images in another compression or form. Blobs that this makes live as long as ``stack``."""

    def __init__(self, layout: Layout, wanted: Wanted, scratch: Path, progress: Progress, stack: ExitStack) -> None:
        self._layout = layout
        self._wanted = wanted
        self._scratch = scratch
        self._progress = progress
        self._stack = stack
        self._store: BlobStore | None = None

    def cargo(self, listed: Descriptor) -> Cargo:
        if listed.media_type in media.INDEXES:
            if self._wanted.compression or self._wanted.docker:
                raise UsageError(f"{listed.digest} is an index, which can only be pushed as it is",
                                 hint="Choose one of its images with --image and its digest.")
            return cargos.of_layout(self._layout, listed)
        image, store = read_image(self._layout, listed), self._layout
        codec = self._codec(image)
        if codec is not None:
            return self._finish(self._recoded(image, codec), self._temporary(), listed)
        return self._finish(image, store, listed)

    def _finish(self, image: Image, store: BlobStore, listed: Descriptor) -> Cargo:
        return cargos.of_image(as_docker(image) if self._wanted.docker else image, store, listed)

    def _codec(self, image: Image) -> str | None:
        """Docker's manifests can't hold zstd, so that asking for one asks for gzip where zstd is."""
        if self._wanted.compression or not self._wanted.docker:
            return self._wanted.compression
        return "gzip" if any(layer.media_type == media.OCI_LAYER_ZSTD for layer, _ in image.layers) else None

    def _recoded(self, image: Image, codec: str) -> Image:
        with self._progress.task(f"layers as {codec}") as task:
            return recode(self._layout, image, self._temporary(), codec, advance=task.advance)

    def _temporary(self) -> BlobStore:
        if self._store is None:
            self._store = self._stack.enter_context(scratch_layout(self._scratch))
        return self._store
