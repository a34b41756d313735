"""Reads images out of an archive: ``docker save`` before and since version 25, OCI, or both in one.

The archive is read once, as a stream, and nothing is extracted by name: a layer becomes a blob of the layout under the
digest of its own bytes, a small file stays in memory until manifest.json or index.json says what it is for. Both stand
behind the layers, so what looks like a layer is taken for one when it passes by.

What comes out is what the same files in a directory would be: index.json's entries as they are, and all that they lead
to. Docker's manifest.json adds what no index tells, and corrects one that contradicts it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from assembler.errors import ImageError, UsageError
from assembler.image import strict_json
from assembler.image.archive_members import HINT, ArchiveMembers, NewCompressor, StoredLayer
from assembler.image.artifact import LAYERS
from assembler.image.blob_writer import blob_path
from assembler.image.image import Image, image_of
from assembler.image.index_entries import entry_called, references
from assembler.image.manifests import RawManifest
from assembler.layer.decompress import decompress
from assembler.layer.read_tar import read_tar
from assembler.model import media_types
from assembler.model.descriptor import Descriptor, canonical_json
from assembler.model.digest import Digest
from assembler.model.reference import Reference

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from assembler.image.blob_store import BlobStore
    from assembler.layer.read_tar import Readable

_DEPTH: Final = 3
_NONE: Final = "<none>"
"""How engines write that there is no name."""

_DOCKER_GZIP: Final = {media_types.OCI_LAYER_GZIP: media_types.DOCKER_LAYER_GZIP}


def read_archive(
    stream: Readable, layout: BlobStore, new_compressor: NewCompressor, *, of_engine: bool = False
) -> list[Descriptor]:
    """Reads everything of ``stream`` (a tar, plain or compressed) into ``layout``, and returns what it lists.

    The entries are those of index.json; one for each name. Layers that are compressed stay as they are, plain ones are
    compressed: then their manifest changes in that alone. Every digest is checked.

    ``of_engine``: an engine wrote it just now. podman then calls layers gzip that it writes plain, which is put right.
    """
    members = ArchiveMembers(layout, new_compressor)
    for member in read_tar(decompress(stream)):
        members.take(member)
    if "manifest.json" not in members and "index.json" not in members:
        raise ImageError("the archive has no manifest.json and no index.json, so it holds no image", hint=HINT)
    saved = _saved(members) if "manifest.json" in members else []
    archive = _Archive(members, layout, saved, of_engine=of_engine)
    listed = archive.listed() if "index.json" in members else []
    return archive.with_saved(listed)


@dataclass(frozen=True, slots=True)
class _Saved:
    """One image as Docker's manifest.json lists it; ``layers`` and ``config`` are names in the archive."""

    config: str
    layers: tuple[str, ...]
    references: tuple[Reference, ...]


class _Archive:
    """``saved`` is what manifest.json says."""

    def __init__(self, members: ArchiveMembers, layout: BlobStore, saved: Sequence[_Saved], *, of_engine: bool) -> None:
        self._of_engine = of_engine
        self._members = members
        self._layout = layout
        self._saved = saved
        self._stored: dict[Digest, Descriptor] = {}
        self._manifests: dict[Digest, Descriptor] = {}
        """By the config's digest."""

    def listed(self) -> list[Descriptor]:
        """What index.json lists, with all that it leads to in the layout."""
        index = strict_json.parse_index(self._members.document("index.json"), media_types.OCI_INDEX)
        entries = strict_json.descriptors(index, "manifests")
        return [self._document(entry, _DEPTH) for entry in entries if not self._is_wrong(entry)]

    def with_saved(self, listed: list[Descriptor]) -> list[Descriptor]:
        """``listed``, and what only manifest.json tells: images and names that index.json lacks."""
        found = list(listed)
        for saved in self._saved:
            config = Digest.of(self._members.document(saved.config))
            image = self._manifests.get(config) or self._of_saved(saved)
            known = references(found)
            new = [entry_called(image, one) for one in saved.references if one not in known]
            if not new and all(entry.digest != image.digest for entry in found) and config not in self._manifests:
                new = [image]
            found += new
        return found

    def _is_wrong(self, entry: Descriptor) -> bool:
        """``docker save`` 25.0 wrote manifests whose layers are not in order, and some without all of them."""
        if entry.media_type not in media_types.MANIFESTS:
            return False
        config, *layers = RawManifest(entry, self._members.document(blob_path(entry.digest))).blobs()
        for saved in self._saved:
            if Digest.of(self._members.document(saved.config)) == config.digest:
                ours = [self._blob_of(blob_path(layer.digest)) for layer in layers]
                return ours != [self._blob_of(name) for name in saved.layers]
        return False

    def _blob_of(self, name: str) -> Digest | None:
        return self._members.layer(name).descriptor.digest if self._members.holds(name) else None

    # Documents

    def _document(self, descriptor: Descriptor, depth: int) -> Descriptor:
        """``descriptor``, of what the layout holds now instead."""
        if descriptor.digest not in self._stored:
            self._stored[descriptor.digest] = self._store(descriptor, depth)
        stored = self._stored[descriptor.digest]
        return replace(descriptor, media_type=stored.media_type, digest=stored.digest, size=stored.size)

    def _store(self, descriptor: Descriptor, depth: int) -> Descriptor:
        if descriptor.media_type not in media_types.MANIFESTS | media_types.INDEXES:
            self._verbatim(descriptor)
            return descriptor
        if not depth:
            raise ImageError(f"{descriptor.digest} is in an index that is nested too deeply", hint=HINT)
        found = RawManifest(descriptor, self._members.document(blob_path(descriptor.digest)))
        value = self._index(found, depth) if found.is_index else self._manifest(found)
        data = found.data if value == found.value else canonical_json(value)
        stored = self._layout.put_bytes(str(value.get("mediaType", descriptor.media_type)), data)
        if not found.is_index:
            self._manifests[found.config.digest] = stored
        return stored

    def _index(self, found: RawManifest, depth: int) -> dict[str, Any]:
        """Images that the archive leaves out stay in the index: it is the same one as where they are."""
        here = [child for child in found.children() if self._members.holds(blob_path(child.digest))]
        new = {child.digest: self._document(child, depth - 1) for child in here}
        changed = {str(old): str(stored.digest) for old, stored in new.items() if old != stored.digest}
        if not changed:
            return found.value
        children = [new.get(child.digest, child) for child in found.children()]
        return {**found.value, "manifests": [_speaking_of(child, changed).to_json() for child in children]}

    def _manifest(self, found: RawManifest) -> dict[str, Any]:
        config, *layers = found.blobs()
        if found.artifact is not None:
            for blob in found.blobs():
                self._verbatim(blob)
            return found.value
        self._verbatim(config)
        held = [self._members.holds(blob_path(layer.digest)) for layer in layers]
        stored = [self._members.layer(blob_path(layer.digest)) if here else None
                  for layer, here in zip(layers, held, strict=True)]
        _check_diff_ids(image_of(found, self._members.document(blob_path(config.digest))), stored)
        now = [self._now(layer, one) for layer, one in zip(layers, stored, strict=True)]
        return found.value if now == layers else _with_layers(found, now)

    def _now(self, layer: Descriptor, stored: StoredLayer | None) -> Descriptor:
        """``layer`` in the form that it has now."""
        if stored is None:
            return layer
        new = stored.descriptor
        is_misnamed = self._of_engine and LAYERS.get(layer.media_type) != LAYERS[new.media_type]
        if new.digest == layer.digest and not is_misnamed:
            return layer
        return replace(layer, media_type=new.media_type, digest=new.digest, size=new.size)

    def _verbatim(self, blob: Descriptor) -> None:
        """Whatever it is, as it is. What is not here may be in a registry, or missing: others say so."""
        if self._members.holds(blob_path(blob.digest)):
            self._members.store_as_it_is(blob_path(blob.digest), blob)

    def _of_saved(self, saved: _Saved) -> Descriptor:
        """The manifest of an image for which the archive has none."""
        config = self._members.document(saved.config)
        layers = [self._members.layer(name) for name in saved.layers]
        described = self._layout.put_bytes(media_types.OCI_CONFIG, config)
        manifest = {"schemaVersion": 2, "mediaType": media_types.OCI_MANIFEST, "config": described.to_json(),
                    "layers": [layer.descriptor.to_json() for layer in layers]}
        data = canonical_json(manifest)
        stored = Descriptor.of(media_types.OCI_MANIFEST, data)
        _check_diff_ids(image_of(RawManifest(stored, data), config), layers)
        return self._layout.put_bytes(media_types.OCI_MANIFEST, data)


def _speaking_of(entry: Descriptor, changed: Mapping[str, str]) -> Descriptor:
    """An index's entry whose annotations name the new digests: attestations say so which image they are about."""
    return replace(entry, annotations={key: changed.get(text, text) for key, text in entry.annotations.items()})


def _check_diff_ids(image: Image, layers: Iterable[StoredLayer | None]) -> None:
    for layer, (_, diff_id) in zip(layers, image.layers, strict=True):
        if layer is not None and layer.diff_id != diff_id:
            raise ImageError(f"a layer in the archive is {layer.diff_id}, but its config says {diff_id}", hint=HINT)


def _with_layers(found: RawManifest, layers: Sequence[Descriptor]) -> dict[str, Any]:
    """The manifest with ``layers``. It stays Docker's unless they are zstd, which Docker's manifests can't hold."""
    if found.value.get("mediaType") != media_types.DOCKER_MANIFEST:
        return {**found.value, "layers": [layer.to_json() for layer in layers]}
    if any(layer.media_type == media_types.OCI_LAYER_ZSTD for layer in layers):
        config = replace(found.config, media_type=media_types.OCI_CONFIG).to_json()
        return {**found.value, "mediaType": media_types.OCI_MANIFEST, "config": config,
                "layers": [layer.to_json() for layer in layers]}
    types = [_DOCKER_GZIP.get(layer.media_type, layer.media_type) for layer in layers]
    docker = [replace(layer, media_type=kind).to_json() for layer, kind in zip(layers, types, strict=True)]
    return {**found.value, "layers": docker}


# Docker's manifest.json


def _saved(members: ArchiveMembers) -> list[_Saved]:
    value = strict_json.parse(b'{"entries":%s}' % members.document("manifest.json"), "manifest.json")["entries"]
    if not isinstance(value, list):
        raise ImageError("manifest.json in the archive is not a list", hint=HINT)
    return [_saved_image(entry) for entry in value]


def _saved_image(value: Any) -> _Saved:
    entry = value if isinstance(value, dict) else {}
    config, layers, tags = entry.get("Config"), entry.get("Layers") or [], entry.get("RepoTags") or []
    if not isinstance(config, str) or not _are_strings(layers) or not _are_strings(tags):
        raise ImageError("manifest.json in the archive has an entry without Config or Layers", hint=HINT)
    return _Saved(config, tuple(layers), _references(tag for tag in tags if not tag.startswith(_NONE)))


def _references(tags: Iterable[str]) -> tuple[Reference, ...]:
    try:
        return tuple(Reference.parse(tag) for tag in tags)
    except UsageError as error:
        raise ImageError(f"the archive names an image wrongly: {error.message}", hint=HINT) from error


def _are_strings(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)
