"""What is to be pushed, checked before the first byte leaves.

Registries are no referees: distribution 2.8 takes layer descriptors with a wrong size, and media types that do not
exist.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from assembler.errors import ImageError
from assembler.image import strict_json
from assembler.image.blob_store import check_bytes
from assembler.model import media_types
from assembler.model.descriptor import Descriptor
from assembler.model.digest import Digest
from assembler.registry.blob_source import FileSource
from assembler.registry.relayed_blob import RegistrySource

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from assembler.registry.blob_source import BlobSource
    from assembler.registry.repository import Repository


@dataclass(frozen=True, slots=True)
class BlobToPush:
    """``path`` is the file with the blob's bytes; None: they are not here, and the blob must be in the repository
    already, or be mounted, or be copied from ``remote``, if that is given."""

    descriptor: Descriptor
    path: Path | None
    remote: Repository | None = None

    @property
    def source(self) -> BlobSource | None:
        if self.path is not None:
            return FileSource(self.path)
        return RegistrySource(self.remote, self.descriptor) if self.remote is not None else None


@dataclass(frozen=True, slots=True)
class ManifestToPush:
    """A manifest or index; ``data`` are its exact bytes."""

    descriptor: Descriptor
    data: bytes
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PushPlan:
    """What a repository should hold afterwards. Blobs and manifests in any order; the last manifest is the one whose
    digest the report gives."""

    blobs: Sequence[BlobToPush]
    manifests: Sequence[ManifestToPush]

    def checked(self) -> PushPlan:
        """The plan with every blob once and children before their index; refused where it contradicts itself."""
        blobs = {blob.descriptor.digest: blob for blob in self.blobs}
        manifests = {manifest.descriptor.digest: manifest for manifest in self.manifests}
        if not manifests:
            raise ImageError("There is nothing to push: no manifest was given")
        for blob in blobs.values():
            _check_blob(blob)
        for manifest in manifests.values():
            _check_manifest(manifest, blobs.keys() | manifests.keys())
        return PushPlan(tuple(blobs.values()), tuple(_children_first(manifests)))


def _check_blob(blob: BlobToPush) -> None:
    if blob.path is None:
        return
    try:
        size = blob.path.stat().st_size
    except OSError as error:
        raise ImageError(f"The blob {blob.descriptor.digest} can't be read: {error}") from error
    if size != blob.descriptor.size:
        raise ImageError(f"{blob.path} has {size} bytes, but its descriptor says {blob.descriptor.size}",
                         hint="The layout is damaged; build the image again.")


def _check_manifest(manifest: ManifestToPush, given: set[Digest]) -> None:
    descriptor = manifest.descriptor
    check_bytes(descriptor, manifest.data)
    if descriptor.size > strict_json.MANIFEST_CAP:
        raise ImageError(f"Manifest {descriptor.digest} has {descriptor.size} bytes; registries take 4 MiB at most",
                         hint="Annotations and embedded data are what makes manifests large.")
    for child in _references(manifest):
        if child.digest not in given and "urls" not in child.extra:
            raise ImageError(f"Manifest {descriptor.digest} needs {child.digest}, which is not among what is pushed")


def _references(manifest: ManifestToPush) -> list[Descriptor]:
    """The descriptors that the registry will look for: children of an index, or config and layers."""
    media_type, data = manifest.descriptor.media_type, manifest.data
    if media_type in media_types.INDEXES:
        return strict_json.descriptors(strict_json.parse_index(data, media_type), "manifests")
    body = strict_json.parse_manifest(data, media_type)
    return [Descriptor.from_json(body.get("config")), *strict_json.descriptors(body, "layers")]


def _children_first(manifests: dict[Digest, ManifestToPush]) -> Iterator[ManifestToPush]:
    """A digest can't contain itself, so there are no cycles."""
    done: set[Digest] = set()

    def visit(manifest: ManifestToPush) -> Iterator[ManifestToPush]:
        if manifest.descriptor.digest in done:
            return
        done.add(manifest.descriptor.digest)
        for child in _references(manifest):
            if child.digest in manifests:
                yield from visit(manifests[child.digest])
        yield manifest

    for manifest in manifests.values():
        yield from visit(manifest)
