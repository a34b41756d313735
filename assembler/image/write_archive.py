"""Images in one tar that everything loads: an OCI layout that also carries Docker's manifest.json.

Docker up to 24 reads manifest.json only; containerd, podman and skopeo read the layout. The blobs are the same for
both, so the digests that were pushed stay. Docker 20.10 reads plain and gzip layers; zstd layers can be written plain
for it, and then its manifest is another one (the config and the diff_ids stay).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from assembler.errors import ImageError
from assembler.image.annotations import FULL_NAME, REF_NAME
from assembler.image.artifact import is_elsewhere
from assembler.image.blob_store import BlobStore
from assembler.image.blob_writer import blob_path
from assembler.image.index_entries import references
from assembler.image.manifests import blobs_of
from assembler.layer.codecs import codec_of
from assembler.layer.decompress import decompress
from assembler.layer.entry import Entry
from assembler.layer.tar_header import END, header, padding
from assembler.model import media_types
from assembler.model.descriptor import Descriptor, canonical_json
from assembler.model.digest import Digest
from assembler.model.node import Kind, Node

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from assembler.image.image import Image
    from assembler.image.manifests import RawManifest
    from assembler.layer.write_layer import Sink
    from assembler.model.reference import Reference

_CHUNK: Final = 1 << 20
_DIRECTORY: Final = Node(Kind.DIRECTORY, 0o755)


@dataclass(frozen=True, slots=True)
class _File:
    """A member of the archive: its size must be known before the first of its ``chunks`` is made."""

    size: int
    chunks: Callable[[], Iterable[bytes]]


def write_archive(
    layout: BlobStore,
    images: Sequence[tuple[Image, Sequence[Reference]]],
    sink: Sink,
    *,
    plain_layers: bool = False,
    advance: Callable[[int], object] = int,
) -> None:
    """Writes ``images`` with their names to ``sink``: ustar, no owners, no times, sorted, every byte determined.

    ``plain_layers`` decompresses zstd layers on the way. ``advance`` is called with each number of bytes written.
    """
    files: dict[str, _File] = {}
    entries: list[dict[str, Any]] = []
    dockers: list[dict[str, Any]] = []
    for image, called in images:
        names = [one.with_default_tag() for one in called if one.tag or not one.digest]
        layers = []
        for stored, diff_id in image.layers:
            layer, blob = _layer(layout, stored, diff_id, plain_layers)
            files[blob_path(layer.digest)] = blob
            layers.append(layer)
        manifest = _with_layers(image, layers)
        files[blob_path(image.config_descriptor.digest)] = _bytes(image.config_bytes)
        files[blob_path(Digest.of(manifest))] = _bytes(manifest)
        descriptor = Descriptor.of(image.descriptor.media_type, manifest)
        entries += _index_entries(descriptor, names)
        dockers.append(_docker_entry(image, layers, names))
    _write(files, entries, dockers, sink, advance)


def write_as_it_is(
    store: BlobStore,
    documents: Sequence[RawManifest],
    entries: Sequence[Descriptor],
    image: Image | None,
    sink: Sink,
) -> None:
    """Writes ``documents`` with all their blobs, listed as ``entries``: a layout as a tar, in which nothing changes.

    ``image`` is the one that Docker's manifest.json names, for those who read no index. Layers that may stay where
    their urls say are left out, if they are not here.
    """
    files = {blob_path(one.descriptor.digest): _bytes(one.data) for one in documents}
    for blob in blobs_of(documents):
        if store.has(blob) or not is_elsewhere(blob):
            files[blob_path(blob.digest)] = _layer(store, blob, blob.digest, plain=False)[1]
    names = [one for one in references(entries) if one.tag]
    dockers = [_docker_entry(image, [layer for layer, _ in image.layers], names)] if image is not None else []
    _write(files, [entry.to_json() for entry in entries], dockers, sink, int)


def _write(
    files: dict[str, _File],
    entries: Sequence[dict[str, Any]],
    dockers: Sequence[dict[str, Any]],
    sink: Sink,
    advance: Callable[[int], object],
) -> None:
    files["index.json"] = _json({"schemaVersion": 2, "mediaType": media_types.OCI_INDEX, "manifests": entries})
    if dockers:
        files["manifest.json"] = _json(dockers)
    files["oci-layout"] = _json({"imageLayoutVersion": "1.0.0"})
    for chunk in _tar(files):
        sink.write(chunk)
        advance(len(chunk))


def _tar(files: dict[str, _File]) -> Iterator[bytes]:
    folders = {"blobs", "blobs/sha256", *(name.rpartition("/")[0] for name in files if "/" in name)}
    for directory in sorted(folders):
        yield header(Entry(directory.encode(), _DIRECTORY))
    for name in sorted(files):
        file = files[name]
        yield header(Entry(name.encode(), Node(Kind.REGULAR, 0o644, size=file.size)))
        left = file.size
        for chunk in file.chunks():
            left -= len(chunk)
            yield chunk
        if left:
            raise ImageError(f"{name} changed while it was written to the archive",
                             hint="Run imgasm verify on the layout.")
        yield bytes(padding(file.size))
    yield END


def _index_entries(descriptor: Descriptor, references: Sequence[Reference]) -> Iterator[dict[str, Any]]:
    for reference in references:
        annotations = {FULL_NAME: _name(reference), REF_NAME: reference.tag or ""}
        yield {**descriptor.to_json(), "annotations": annotations}
    if not references:
        yield descriptor.to_json()


def _docker_entry(image: Image, layers: Sequence[Descriptor], references: Sequence[Reference]) -> dict[str, Any]:
    return {
        "Config": blob_path(image.config_descriptor.digest),
        "RepoTags": [_name(reference) for reference in references] or None,
        "Layers": [blob_path(layer.digest) for layer in layers],
    }


def _name(reference: Reference) -> str:
    """Docker refuses a name with a digest here."""
    return f"{reference.name}:{reference.tag}"


def _with_layers(image: Image, layers: Sequence[Descriptor]) -> bytes:
    """The manifest's bytes: the image's own wherever its layers stay what they are."""
    if all(layer == old for layer, (old, _) in zip(layers, image.layers, strict=True)):
        return image.manifest_bytes
    return canonical_json({**image.manifest, "layers": [layer.to_json() for layer in layers]})


def _layer(layout: BlobStore, stored: Descriptor, diff_id: Digest, plain: bool) -> tuple[Descriptor, _File]:
    """What the archive holds of a layer: the stored blob, or the plain form of one that is zstd."""
    if not layout.has(stored) and is_elsewhere(stored):
        raise ImageError(f"the layer {stored.digest} is not distributed with the image: it is {stored.media_type}",
                         hint=f"imgasm does not fetch it from {stored.extra['urls'][0]}.")
    if not layout.has(stored):
        raise ImageError(f"the layout {layout.root} has no whole blob {stored.digest}",
                         hint="Only a whole image can be written to an archive; pull or build it first.")
    if not plain or _is_known_to_docker(layout, stored):
        return stored, _File(stored.size, lambda: _stored(layout, stored.digest))
    size = _plain_size(layout, stored, diff_id)
    return Descriptor(media_types.OCI_LAYER, diff_id, size), _File(size, lambda: _decompressed(layout, stored.digest))


def _is_known_to_docker(layout: BlobStore, layer: Descriptor) -> bool:
    """Docker 20.10 loads the codecs that its own manifests know."""
    with layout.open_blob(layer.digest) as file:
        return codec_of(file.read(4)).docker_suffix is not None


def _plain_size(layout: BlobStore, layer: Descriptor, diff_id: Digest) -> int:
    """One pass over the blob, because a tar header tells the size before the bytes; it is a check at the same time."""
    size, plain = 0, hashlib.new(diff_id.algorithm)
    for chunk in _decompressed(layout, layer.digest):
        size += len(chunk)
        plain.update(chunk)
    if plain.hexdigest() != diff_id.hex:
        raise ImageError(f"the layer {layer.digest} does not hold what the config says ({diff_id})",
                         hint="Run imgasm verify on the layout, and build or pull the image again.")
    return size


def _stored(layout: BlobStore, digest: Digest) -> Iterator[bytes]:
    with layout.open_blob(digest) as file:
        while chunk := file.read(_CHUNK):
            yield chunk


def _decompressed(layout: BlobStore, digest: Digest) -> Iterator[bytes]:
    with layout.open_blob(digest) as file:
        plain = decompress(file)
        while chunk := plain.read(_CHUNK):
            yield chunk



def _json(value: Any) -> _File:
    return _bytes(canonical_json(value))


def _bytes(data: bytes) -> _File:
    return _File(len(data), lambda: (data,))
