"""An image as one value, wherever it is: its documents, what of its blobs is here, and where the rest is."""

from __future__ import annotations

import hashlib
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Self

from assembler.errors import ImageError
from assembler.image import strict_json
from assembler.image.artifact import is_elsewhere
from assembler.image.assemble import BaseImage
from assembler.image.blob_origins import missing, told_origins, with_origins
from assembler.image.choose_platform import offered
from assembler.image.image import Image, descend, image_of, refuse_artifact
from assembler.image.index_entries import named, references
from assembler.image.manifests import RawManifest, blobs_of, closure
from assembler.layer.byte_streams import Pieces, Tapped
from assembler.model.descriptor import Descriptor
from assembler.model.digest import Digest
from assembler.model.size import human
from assembler.registry.pull import read_blob, stream_blob

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator
    from pathlib import Path

    from assembler.image.blob_store import BlobStore
    from assembler.image.layout import Layout
    from assembler.image.manifests import Read
    from assembler.layer.read_tar import Readable
    from assembler.model.platform import Platform
    from assembler.model.reference import Reference
    from assembler.places.registries import Registries
    from assembler.progress import Progress
    from assembler.registry.repository import Repository


@dataclass(frozen=True)
class HeldImage:
    """One image, an index of images, or an artifact.

    ``place``       what people call it
    ``entries``     what index.json lists it as, once for each of its names; elsewhere what it would list
    ``read``        gives the bytes of its documents
    ``store``       has its blobs, or some of them; None: they are all elsewhere
    ``sources``     the repositories, without tags, that hold what ``store`` lacks
    ``repository``  an open connection to the first of ``sources``, where it was opened from there
    ``reference``   the name that it was asked for by, as a base
    ``known``       the image, where somebody has read it already
    """

    place: str
    entries: tuple[Descriptor, ...]
    read: Read = field(repr=False)
    registries: Registries = field(repr=False)
    store: BlobStore | None = None
    sources: tuple[Reference, ...] = ()
    repository: Repository | None = field(default=None, repr=False)
    reference: Reference | None = None
    known: Image | None = field(default=None, repr=False)

    # What it is

    @cached_property
    def root(self) -> RawManifest:
        """What a tag leads to: the manifest or the index."""
        entry = self.entries[0]
        descriptor = Descriptor(entry.media_type, entry.digest, entry.size)
        return RawManifest(descriptor, self.read(descriptor))

    @property
    def name(self) -> str:
        """For people."""
        return str(self.reference or self.place)

    @property
    def digest(self) -> Digest:
        return self.entries[0].digest

    @cached_property
    def documents(self) -> tuple[RawManifest, ...]:
        """All of them, children before their index; the last is the root."""
        self._refuse_lacking()
        return tuple(closure(self.root.descriptor, self.read))

    def _refuse_lacking(self) -> None:
        """ImageError that says what is here of an index, if not all of it is."""
        if self.store is None or self.sources:
            return
        children = self.root.children()
        here = [child for child in children if self.store.has(child)]
        if len(here) < len(children):
            gone = ", ".join(str(child.digest) for child in children if child not in here)
            raise ImageError(
                f"{self.place} has {len(here)} of the {len(children)} images in its index; it lacks {gone}",
                hint=f"Choose one that is here with --platform: {offered(here) or 'there is none'}.",
            )

    @cached_property
    def image(self) -> Image:
        """ImageError that says what it is, if it is not one image."""
        if self.known is not None:
            return self.known
        if self.root.is_index:
            raise ImageError(f"{self.place} is an index of images, not a single image",
                             hint="Choose one of its images with --platform, or by its digest.")
        refuse_artifact(self.root)
        return image_of(self.root, self._small(self.root.config))

    @property
    def base(self) -> BaseImage:
        return BaseImage(self.image, self.reference)

    @property
    def references(self) -> tuple[Reference, ...]:
        """The names that it can have in a registry or engine."""
        return references(self.entries)

    def for_platform(self, platform: Platform | None) -> HeldImage:
        """The one image for ``platform`` out of an index; what is not an index stays what it is."""
        if self.known is not None:
            return self
        is_here = self.store.has if self.store is not None else None
        found = descend(self.root.descriptor, platform, self.read, is_here)
        chosen = self
        if found.descriptor.digest != self.digest:
            plain = Descriptor(found.descriptor.media_type, found.descriptor.digest, found.descriptor.size)
            chosen = replace(self, entries=named(plain, self.entries))
        if platform is not None and self.repository is not None and chosen.root.artifact is None:
            chosen.warn_of_another(platform)
        return chosen

    def members(self) -> Iterator[HeldImage]:
        """The images of an index, however deep, without what else stands there; an image alone is its own member."""
        for document in self.documents if self.root.is_index else ():
            if not document.is_index and document.artifact is None:
                yield replace(self, entries=(with_origins(document.descriptor, self.origins),))
        if not self.root.is_index:
            yield self

    def warn_of_another(self, platform: Platform) -> None:
        actual = self.image.platform
        if (actual.os, actual.architecture) != (platform.os, platform.architecture):
            self.registries.warn(f"{self.place} ({self.digest}) is for {actual}, not {platform}.")

    def with_image(self, image: Image, store: BlobStore) -> HeldImage:
        """The same under another manifest, all of whose blobs that are here are in ``store``."""
        return replace(self, entries=named(image.descriptor, self.entries), known=image, store=store,
                       read=lambda descriptor: image.manifest_bytes)

    @classmethod
    def in_layout(
        cls, layout: Layout, image: Image, registries: Registries, reference: Reference | None = None
    ) -> Self:
        """An image whose blobs are all in ``layout``, whether that lists it or not."""
        return cls(str(layout.root), (image.descriptor,), layout.read, registries, layout,
                   reference=reference, known=image)  # fmt: skip

    def detached(self) -> HeldImage:
        """The image, to be used when the connection that it came over is closed."""
        image = self.image
        return replace(self, known=image, repository=None, read=lambda descriptor: image.manifest_bytes)

    # Where its blobs are

    def path(self, blob: Descriptor) -> Path | None:
        """The file with a blob's bytes; None if it is not here."""
        return self.store.path(blob.digest) if self.store is not None and self.store.has(blob) else None

    @property
    def blobs(self) -> list[Descriptor]:
        """Every blob once. Those that may stay where their urls say are among them."""
        return blobs_of([self.known.document] if self.known is not None else self.documents)

    @property
    def far(self) -> list[Descriptor]:
        """The blobs that are needed and not here."""
        return [blob for blob in self.blobs if self.path(blob) is None and not is_elsewhere(blob)]

    @property
    def far_layers(self) -> list[Descriptor]:
        """The layers of the image that are not here."""
        return list(missing(self.store, self.image)) if self.store else [layer for layer, _ in self.image.layers]

    @property
    def is_partial(self) -> bool:
        """Whether layers are elsewhere: in a registry, or where their urls say. One that is lost or damaged is not."""
        return any(is_elsewhere(layer) or self.origins for layer in self.far_layers)

    @property
    def origins(self) -> tuple[Reference, ...]:
        """Where the far ones are: in the registry that it was opened from, or where index.json and manifest say."""
        if self.sources:
            return self.sources
        manifest = self.known.manifest if self.known is not None else self.root.value
        told = (origin for entry in self.entries for origin in told_origins(entry, manifest))
        return tuple(dict.fromkeys(told))

    def _small(self, blob: Descriptor) -> bytes:
        if self.store is not None and (self.store.has(blob) or not self.sources):
            return self.store.read(blob, strict_json.CONFIG_CAP)
        if self.repository is not None:
            return read_blob(self.repository, blob)
        with self.registries.holder(blob, self.sources) as repository:
            return read_blob(repository, blob)

    @contextmanager
    def open_layer(self, blob: Descriptor, advance: Callable[[int], object] = int) -> Iterator[Readable]:
        """A blob's bytes, from wherever it is, checked when they were read to their end.

        ``advance`` gets the number of bytes that came from a registry.
        """
        is_lost = not is_elsewhere(blob) and not self.origins
        if self.store is not None and (self.store.has(blob) or is_lost):
            with self.store.open_blob(blob.digest) as file:
                checked = _Checked(file, blob)
                yield checked
                checked.finish()
            return
        if is_elsewhere(blob):
            raise ImageError(f"the layer {blob.digest} is not distributed with the image: it is {blob.media_type}",
                             hint=f"imgasm does not fetch it from {blob.extra['urls'][0]}.")
        if self.repository is not None:
            yield Pieces(_told(stream_blob(self.repository, blob), advance))
            return
        with (
            self.registries.holder(blob, self.origins) as repository,
            closing(_told(stream_blob(repository, blob), advance)) as pieces,
        ):
            yield Pieces(pieces)

    def bring(self, store: BlobStore, *, only_layers: bool = False) -> None:
        """Takes the blobs that are here over into ``store``; ``only_layers`` is for an image that is stacked on."""
        for blob in [layer for layer, _ in self.image.layers] if only_layers else self.blobs:
            if self.path(blob) is not None and self.store is not None:
                store.adopt(self.store, blob)

    def whole(self, store: BlobStore, progress: Progress, *, copy_far: bool) -> HeldImage:
        """The same with all its blobs in ``store``, if it is not whole already.

        ``copy_far`` allows to get what is far, which is a matter of course for what was opened in a registry.
        """
        far = self.far
        if self.store is not None and not far:
            return self
        size = sum(blob.size for blob in far)
        if far and not (copy_far or self.sources):
            places = ", ".join(origin.name for origin in self.origins) or "a registry that is not known"
            raise ImageError(
                f"{human(size)} ({size} bytes) of the image's base are not here, but in {places}",
                hint="Add --copy-base-layers to download them. (imgasm push does not need them.)",
            )
        self.bring(store)
        with progress.task("getting the base's layers", total=size) as task:
            for blob in far:
                self.registries.fetch(blob, self.origins, store, task.advance)
        for blob in self.blobs:
            if is_elsewhere(blob) and not store.has(blob):
                self.registries.fetch_if_there(blob, self.sources, store)
        for one in self.documents:
            store.put_bytes(one.descriptor.media_type, one.data)
        return replace(self, store=store)


class _Checked(Tapped):
    """A blob's bytes, which must be what the descriptor says when all of them were read."""

    def __init__(self, stream: Readable, blob: Descriptor) -> None:
        self._blob = blob
        self._hash = hashlib.new(blob.digest.algorithm)
        super().__init__(stream, self._hash.update)

    def finish(self) -> None:
        while self.read(1 << 20):
            pass
        if Digest(self._hash.name, self._hash.hexdigest()) != self._blob.digest:
            raise ImageError(f"the blob {self._blob.digest} does not match its digest",
                             hint="It was damaged or changed; get the image again.")


def _told(pieces: Iterator[bytes], advance: Callable[[int], object]) -> Generator[bytes]:
    for piece in pieces:
        advance(len(piece))
        yield piece
