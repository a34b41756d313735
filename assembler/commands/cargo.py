"""What a push carries: documents, and where their blobs are."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from assembler.image.documents import Document, blobs_of, closure
from assembler.image.image import read_image
from assembler.image.origins import origins
from assembler.model import media
from assembler.registry.push import BlobToPush, ManifestToPush, PushPlan, push

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from assembler.commands.registries import Registries
    from assembler.image.image import Image
    from assembler.image.layout import Layout
    from assembler.image.store import BlobStore
    from assembler.model.digest import Digest
    from assembler.model.oci import Descriptor
    from assembler.model.reference import Reference
    from assembler.progress import Progress
    from assembler.registry.push import PushOptions, PushReport
    from assembler.registry.repository import Repository


@dataclass(frozen=True, slots=True)
class Cargo:
    """``documents`` are children before their index; the last is what a tag leads to. Their blobs are in ``store``;
    those that are not are in one of the repositories ``origins``. Without a ``store`` that is all of them."""

    documents: tuple[Document, ...]
    store: BlobStore | None
    origins: tuple[Reference, ...] = ()
    image: Image | None = None
    """What it is, if it is one image."""

    @property
    def last(self) -> Document:
        return self.documents[-1]

    def far(self) -> list[Descriptor]:
        """The blobs that are not here."""
        return [blob for blob in blobs_of(self.documents) if self.path(blob) is None]

    def path(self, blob: Descriptor) -> Path | None:
        """The file with a blob's bytes; None if it is not here."""
        return self.store.path(blob.digest) if self.store is not None and self.store.has(blob) else None


def of_layout(layout: Layout, listed: Descriptor) -> Cargo:
    """What index.json's entry ``listed`` stands for, as it is."""
    if listed.media_type in media.INDEXES:
        return Cargo(tuple(closure(listed, layout.read)), layout, origins(listed))
    return of_image(read_image(layout, listed), layout, listed)


def of_image(image: Image, store: BlobStore | None, listed: Descriptor | None = None) -> Cargo:
    return Cargo((Document.of_image(image),), store, origins(listed or image.descriptor, image), image)


def send(
    cargos: Sequence[Cargo],
    target: Reference,
    tags: Mapping[Digest, tuple[str, ...]],
    registries: Registries,
    progress: Progress,
    options: PushOptions,
    *,
    copy_far: bool,
) -> PushReport:
    """Puts all of ``cargos`` into ``target``'s repository.

    Blobs that are not here are mounted; with ``copy_far`` those that can't be are copied, without touching the disk.
    """
    near = [origin.repository for cargo in cargos for origin in cargo.origins if origin.registry == target.registry]
    options = replace(options, mount_from=tuple(dict.fromkeys((*options.mount_from, *near))))
    with registries.client(target, pushing=True) as client, ExitStack() as connections:
        finder = _Finder(registries, connections) if copy_far else None
        blobs = [blob for cargo in cargos for blob in _blobs(cargo, finder)]
        manifests = [
            ManifestToPush(one.descriptor, one.data, tags.get(one.descriptor.digest, ()))
            for cargo in cargos
            for one in cargo.documents
        ]
        return push(client, target.repository, PushPlan(blobs, manifests), progress, options)


def _blobs(cargo: Cargo, finder: _Finder | None) -> Iterator[BlobToPush]:
    for blob in blobs_of(cargo.documents):
        path = cargo.path(blob)
        remote = finder.find(blob, cargo.origins) if path is None and finder is not None else None
        yield BlobToPush(blob, path, remote)


class _Finder:
    """Looks for blobs in other repositories, over connections that stay open until the push is done."""

    def __init__(self, registries: Registries, connections: ExitStack) -> None:
        self._registries = registries
        self._connections = connections
        self._open: dict[Reference, Repository] = {}

    def find(self, blob: Descriptor, origins: Sequence[Reference]) -> Repository | None:
        return next((place for place in map(self._repository, origins) if place.has_blob(blob)), None)

    def _repository(self, origin: Reference) -> Repository:
        if origin not in self._open:
            self._open[origin] = self._connections.enter_context(self._registries.repository(origin))
        return self._open[origin]
