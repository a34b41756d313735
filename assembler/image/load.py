"""Reads images out of an archive: ``docker save`` before and since version 25, OCI, or both in one.

The archive is read once, as a stream, and nothing is extracted by name: a layer becomes a blob of the layout under the
digest of its own bytes, a small file stays in memory until manifest.json or index.json says what it is for. Both stand
behind the layers, so what looks like a layer is taken for one when it passes by.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from assembler.errors import ImageError, UsageError
from assembler.image import document
from assembler.image.annotations import FULL_NAME
from assembler.image.assemble import store_image
from assembler.image.contents import HINT, Contents, NewCompressor, StoredLayer
from assembler.image.image import Image, parse_image
from assembler.layer.decompress import decompress
from assembler.layer.read import read_tar
from assembler.model import media
from assembler.model.digest import Digest
from assembler.model.oci import Descriptor, canonical_json
from assembler.model.reference import Reference

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from assembler.image.store import BlobStore
    from assembler.layer.read import Readable


@dataclass(frozen=True, slots=True)
class Loaded:
    image: Image
    references: tuple[Reference, ...]


def read_archive(stream: Readable, layout: BlobStore, new_compressor: NewCompressor) -> list[Loaded]:
    """Reads every image of ``stream`` (a tar, plain or compressed) into ``layout``, without naming them there.

    Layers that are compressed stay as they are, plain ones are compressed. Docker's manifest.json is trusted before
    the layout's index, because ``docker save`` 25.0 wrote wrong ones. Every digest is checked.
    """
    contents = Contents(layout, new_compressor)
    for member in read_tar(decompress(stream)):
        contents.take(member)
    if "manifest.json" in contents:
        entries = _docker_entries(contents)
    elif "index.json" in contents:
        entries = _oci_entries(contents)
    else:
        raise ImageError("the archive has no manifest.json and no index.json, so it holds no image", hint=HINT)
    loaded = [Loaded(_image(entry, contents), entry.references) for entry in entries]
    for one in loaded:
        store_image(layout, one.image)
    return loaded


@dataclass(frozen=True, slots=True)
class _Entry:
    """One image as the archive lists it; ``layers`` and ``config`` are names in the archive."""

    config: str
    layers: tuple[str, ...]
    references: tuple[Reference, ...]


def _docker_entries(contents: Contents) -> list[_Entry]:
    value = document.parse(b'{"entries":%s}' % contents.document("manifest.json"), "manifest.json")["entries"]
    if not isinstance(value, list):
        raise ImageError("manifest.json in the archive is not a list", hint=HINT)
    return [_docker_entry(entry) for entry in value]


def _docker_entry(value: Any) -> _Entry:
    entry = value if isinstance(value, dict) else {}
    config, layers, tags = entry.get("Config"), entry.get("Layers") or [], entry.get("RepoTags") or []
    if not isinstance(config, str) or not _are_strings(layers) or not _are_strings(tags):
        raise ImageError("manifest.json in the archive has an entry without Config or Layers", hint=HINT)
    return _Entry(config, tuple(layers), _references(tags))


def _oci_entries(contents: Contents) -> list[_Entry]:
    names: dict[Digest, list[str]] = {}
    for descriptor in _manifests(contents):
        names.setdefault(descriptor.digest, []).extend(filter(None, [descriptor.annotations.get(FULL_NAME)]))
    return [_oci_entry(contents, digest, _references(tags)) for digest, tags in names.items()]


def _manifests(contents: Contents) -> list[Descriptor]:
    index = document.parse_index(contents.document("index.json"), media.OCI_INDEX)
    return [entry for entry in document.descriptors(index, "manifests") if entry.media_type in media.MANIFESTS]


def _oci_entry(contents: Contents, digest: Digest, references: tuple[Reference, ...]) -> _Entry:
    manifest = document.parse(contents.document(_path(digest)), "the manifest in the archive")
    config = Descriptor.from_json(manifest.get("config"))
    layers = document.descriptors(manifest, "layers")
    return _Entry(_path(config.digest), tuple(_path(layer.digest) for layer in layers), references)


def _image(entry: _Entry, contents: Contents) -> Image:
    config = contents.document(entry.config)
    layers = [contents.layer(name) for name in entry.layers]
    descriptor = Descriptor(media.OCI_CONFIG, Digest.of(config), len(config))
    manifest = {"schemaVersion": 2, "mediaType": media.OCI_MANIFEST, "config": descriptor.to_json(),
                "layers": [layer.descriptor.to_json() for layer in layers]}
    data = _original(contents, descriptor, layers) or canonical_json(manifest)
    image = parse_image(Descriptor(media.OCI_MANIFEST, Digest.of(data), len(data)), data, config)
    for layer, (_, diff_id) in zip(layers, image.layers, strict=True):
        if layer.diff_id != diff_id:
            raise ImageError(f"a layer in the archive is {layer.diff_id}, but its config says {diff_id}", hint=HINT)
    return image


def _original(contents: Contents, config: Descriptor, layers: Sequence[StoredLayer]) -> bytes | None:
    """The archive's own OCI manifest, if it says the same: then the image keeps its digest."""
    wanted = [(blob.digest, blob.size) for blob in (config, *(layer.descriptor for layer in layers))]
    for descriptor in _manifests(contents) if "index.json" in contents else ():
        if descriptor.media_type != media.OCI_MANIFEST or _path(descriptor.digest) not in contents:
            continue
        data = contents.document(_path(descriptor.digest))
        manifest = document.parse_manifest(data, media.OCI_MANIFEST)
        found = [Descriptor.from_json(manifest.get("config")), *document.descriptors(manifest, "layers")]
        if [(blob.digest, blob.size) for blob in found] == wanted:
            return data
    return None


def _references(tags: Iterable[str]) -> tuple[Reference, ...]:
    try:
        return tuple(Reference.parse(tag) for tag in tags)
    except UsageError as error:
        raise ImageError(f"the archive names an image wrongly: {error.message}", hint=HINT) from error


def _are_strings(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _path(digest: Digest) -> str:
    return f"blobs/{digest.algorithm}/{digest.hex}"
