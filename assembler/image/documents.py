"""The manifests and indexes that a reference stands for, each with its exact bytes, and the blobs that they need."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from assembler.errors import ImageError
from assembler.image import document
from assembler.model import media
from assembler.model.oci import Descriptor

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from assembler.image.image import Image

Read = Callable[[Descriptor], bytes]
"""The bytes of a manifest or index, from wherever it is."""

_DEPTH = 3


@dataclass(frozen=True, slots=True)
class Document:
    """A manifest, or an index."""

    descriptor: Descriptor
    data: bytes

    @classmethod
    def of_image(cls, image: Image) -> Document:
        return cls(image.descriptor, image.manifest_bytes)

    @property
    def is_index(self) -> bool:
        return self.descriptor.media_type in media.INDEXES

    def children(self) -> list[Descriptor]:
        """What an index lists; nothing for a manifest."""
        if not self.is_index:
            return []
        return document.descriptors(document.parse_index(self.data, self.descriptor.media_type), "manifests")

    def blobs(self) -> list[Descriptor]:
        """Config and layers of a manifest; nothing for an index."""
        if self.is_index:
            return []
        manifest = document.parse_manifest(self.data, self.descriptor.media_type)
        layers = document.descriptors(manifest, "layers")
        return [Descriptor.from_json(manifest.get("config")), *layers]


def closure(root: Descriptor, read: Read, depth: int = _DEPTH) -> Iterator[Document]:
    """``root`` and all that it leads to, children before their index."""
    if not depth:
        raise ImageError(f"{root.digest} stands in an index of indexes of indexes",
                         hint="Name one of its images by its digest.")
    found = Document(root, read(root))
    for child in found.children():
        yield from closure(child, read, depth - 1)
    yield found


def blobs_of(documents: Iterable[Document]) -> list[Descriptor]:
    """Every blob once."""
    blobs = {blob.digest: blob for one in documents for blob in one.blobs()}
    return list(blobs.values())
