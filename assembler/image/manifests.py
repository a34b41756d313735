"""The manifests and indexes that a reference stands for, each with its exact bytes, and the blobs that they need."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from assembler.errors import ImageError
from assembler.image import strict_json
from assembler.image.artifact import artifact
from assembler.image.blob_store import check_bytes
from assembler.model import media_types
from assembler.model.descriptor import Descriptor

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

Read = Callable[[Descriptor], bytes]
"""The bytes of a manifest or index, from wherever it is."""

_DEPTH = 3


@dataclass(frozen=True)
class RawManifest:
    """A manifest, or an index. It is parsed once, when somebody first asks what is in it; ``data`` is its identity."""

    descriptor: Descriptor
    data: bytes = field(repr=False)

    @property
    def is_index(self) -> bool:
        return self.descriptor.media_type in media_types.INDEXES

    @cached_property
    def value(self) -> dict[str, Any]:
        """ImageError for what is neither a manifest nor an index, or could be read as both."""
        check_bytes(self.descriptor, self.data)
        parse = strict_json.parse_index if self.is_index else strict_json.parse_manifest
        return parse(self.data, self.descriptor.media_type)

    @cached_property
    def _manifests(self) -> list[Descriptor]:
        return strict_json.descriptors(self.value, "manifests") if self.is_index else []

    @cached_property
    def _blobs(self) -> list[Descriptor]:
        return [] if self.is_index else [self.config, *strict_json.descriptors(self.value, "layers")]

    def children(self) -> list[Descriptor]:
        """What an index lists; nothing for a manifest."""
        return self._manifests

    def blobs(self) -> list[Descriptor]:
        """Config and layers of a manifest; nothing for an index."""
        return self._blobs

    @property
    def config(self) -> Descriptor:
        """A manifest's config."""
        return Descriptor.from_json(self.value.get("config"))

    @property
    def artifact(self) -> str | None:
        """What a manifest is that is not an image, in words that follow "is"."""
        config, *layers = self._blobs
        return artifact(self.value, config, layers)


def closure(root: Descriptor, read: Read, depth: int = _DEPTH) -> Iterator[RawManifest]:
    """``root`` and all that it leads to, children before their index."""
    if not depth:
        raise ImageError(f"{root.digest} is in an index that is nested too deeply",
                         hint="Name one of its images by its digest.")
    found = RawManifest(root, read(root))
    for child in found.children():
        yield from closure(child, read, depth - 1)
    yield found


def blobs_of(documents: Iterable[RawManifest]) -> list[Descriptor]:
    """Every blob once."""
    blobs = {blob.digest: blob for one in documents for blob in one.blobs()}
    return list(blobs.values())
