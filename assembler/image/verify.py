"""Everything that is wrong with a layout and its images, from the digests down to the tars' headers.

Nothing is believed: every blob is hashed, every layer is unpacked in memory and held against its diff_id. All findings
come at once; only an unreadable layout is an ImageError.
"""

from __future__ import annotations

import hashlib
import stat
from typing import TYPE_CHECKING, Any, Final

from assembler.errors import ImageError
from assembler.image import document, spec
from assembler.image.choose import is_image
from assembler.image.config import count_layers
from assembler.image.origins import origins
from assembler.layer.check import Files, Finding, Severity, check_layer
from assembler.layer.decompress import codec_of, decompress
from assembler.model import media
from assembler.model.digest import Digest
from assembler.model.oci import Descriptor

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pydantic import BaseModel

    from assembler.image.layout import Layout
    from assembler.layer.read import Readable

_CHUNK: Final = 1 << 20
_DEPTH: Final = 3

Json = dict[str, Any]


def verify(layout: Layout, advance: Callable[[int], object] = int) -> list[Finding]:
    """All findings, in the order of the files. ``advance`` is told each number of blob bytes that were hashed."""
    check = _LayoutCheck(layout, advance)
    check.blobs()
    check.index()
    check.unreferenced()
    return check.findings


class _LayoutCheck:
    def __init__(self, layout: Layout, advance: Callable[[int], object]) -> None:
        self._layout = layout
        self._advance = advance
        self._sizes: dict[Digest, int] = {}
        self._whole: set[Digest] = set()
        self._reached: set[Digest] = set()
        self._told: set[Finding] = set()
        self._thin = False
        self.findings: list[Finding] = []

    def note(self, severity: Severity, where: str, what: str) -> None:
        self._add(Finding(severity, where, what))

    def _add(self, finding: Finding) -> None:
        """A layer that several images have is checked on each base, and told of once."""
        if finding not in self._told:
            self._told.add(finding)
            self.findings.append(finding)

    # Blobs

    def blobs(self) -> None:
        for path in sorted((self._layout.root / "blobs").glob("*/*")):
            self._blob(path)

    def _blob(self, path: Path) -> None:
        where = f"blobs/{path.parent.name}/{path.name}"
        try:
            digest = Digest.parse(f"{path.parent.name}:{path.name}")
        except ImageError:
            self.note("error", where, "the name is no digest")
            return
        status = path.lstat()
        if not stat.S_ISREG(status.st_mode):
            self.note("error", where, "not a regular file")
            return
        self._sizes[digest] = status.st_size
        if self._hash(digest) == digest.hex:
            self._whole.add(digest)
        else:
            self.note("error", where, "the bytes are not what the name says")

    def _hash(self, digest: Digest) -> str:
        sum_ = hashlib.new(digest.algorithm)
        with self._layout.open_blob(digest) as file:
            while chunk := file.read(_CHUNK):
                sum_.update(chunk)
                self._advance(len(chunk))
        return sum_.hexdigest()

    def unreferenced(self) -> None:
        for digest in sorted(self._sizes.keys() - self._reached):
            self.note("warning", _where(digest), f"{self._sizes[digest]} bytes that no image refers to")

    def _is_there(self, descriptor: Descriptor, where: str, may_lack: bool = False) -> bool:
        """Whether the blob can be used for further checks."""
        digest = descriptor.digest
        self._reached.add(digest)
        if digest not in self._sizes and may_lack:
            return False
        if digest not in self._sizes:
            self.note("error", where, f"refers to {digest}, which is not there")
        elif self._sizes[digest] != descriptor.size:
            self.note("error", where, f"says that {digest} has {descriptor.size} bytes; it has {self._sizes[digest]}")
        return digest in self._whole and self._sizes[digest] == descriptor.size

    # Documents

    def index(self) -> None:
        entries = self._layout.index()
        listed = {"schemaVersion": 2, "manifests": [entry.to_json() for entry in entries]}
        for problem in spec.problems(listed, spec.Index):
            self.note("error", "index.json", problem)
        for entry in entries:
            self._thin = bool(origins(entry))  # the layers of its base stayed in their registry
            self.manifest(entry, "index.json", _DEPTH)

    def manifest(self, descriptor: Descriptor, where: str, depth: int) -> None:
        if not self._is_there(descriptor, where):
            return
        if descriptor.media_type in media.INDEXES and depth:
            value = self._document(descriptor, spec.Index, document.parse_index)
            for entry in document.descriptors(value, "manifests") if value else ():
                self.manifest(entry, _where(descriptor.digest), depth - 1)
        elif descriptor.media_type in media.MANIFESTS:
            value = self._document(descriptor, spec.Manifest, document.parse_manifest)
            if value:
                self._blobs_of(value, descriptor)
        else:
            self.note("warning", where, f"{descriptor.digest} is {descriptor.media_type}, which is not checked")

    def _document(
        self, descriptor: Descriptor, model: type[BaseModel], parse: Callable[[bytes, str], Json]
    ) -> Json | None:
        """The parsed blob, or None when what is wrong with it hides the rest."""
        where = _where(descriptor.digest)
        try:
            value = parse(self._layout.read(descriptor), descriptor.media_type)
        except ImageError as error:
            self.note("error", where, error.message)
            return None
        found = spec.problems(value, model)
        for problem in found:
            self.note("error", where, problem)
        return None if found else value

    def _blobs_of(self, manifest: Json, descriptor: Descriptor) -> None:
        where = _where(descriptor.digest)
        config, layers = Descriptor.from_json(manifest["config"]), document.descriptors(manifest, "layers")
        present = [self._is_there(config, where), *(self._is_there(layer, where, self._thin) for layer in layers)]
        if not is_image(descriptor) or config.media_type not in (media.OCI_CONFIG, media.DOCKER_CONFIG):
            return  # an attestation or another artifact: its blobs mean nothing to an engine
        for layer in layers:
            self._layer_type(layer, where, descriptor.media_type)
        value = self._document(config, spec.Config, document.parse) if present[0] else None
        if value:
            self._config(value, len(layers), _where(config.digest))
            self._layers(layers, present[1:], value["rootfs"]["diff_ids"])

    def _layer_type(self, layer: Descriptor, where: str, media_type: str) -> None:
        if layer.media_type not in spec.LAYER_TYPES:
            self.note("error", where, f"a layer is {layer.media_type}, which engines do not run")
        elif media_type == media.DOCKER_MANIFEST and layer.media_type == media.OCI_LAYER_ZSTD:
            self.note("error", where, "a zstd layer in a manifest of Docker's type, which podman refuses")

    def _config(self, config: Json, layers: int, where: str) -> None:
        diff_ids, history = len(config["rootfs"]["diff_ids"]), config.get("history") or []
        if diff_ids != layers:
            self.note("error", where, f"{diff_ids} diff_ids for {layers} layers")
        if count_layers(history) != diff_ids:
            severity: Severity = "error" if history else "warning"
            self.note(severity, where, f"the history speaks of {count_layers(history)} layers, diff_ids of {diff_ids}")

    # Layers

    def _layers(self, layers: list[Descriptor], present: list[bool], diff_ids: list[str]) -> None:
        below = Files()
        for layer, is_here, diff_id in zip(layers, present, diff_ids, strict=False):
            if is_here:
                self._layer(layer, Digest.parse(diff_id), below)
            else:
                below = Files(partial=True)

    def _layer(self, layer: Descriptor, diff_id: Digest, below: Files) -> None:
        where = _where(layer.digest)
        with self._layout.open_blob(layer.digest) as file:
            codec = codec_of(file.read(4))
            file.seek(0)
            if codec != spec.LAYER_TYPES.get(layer.media_type, codec):
                self.note("error", where, f"its type is {layer.media_type}, its compression {codec}")
            try:
                plain = _Hashed(decompress(file), diff_id.algorithm)
                for finding in check_layer(plain, below, where):
                    self._add(finding)
                plain.drain()
            except ImageError as error:
                self.note("error", where, error.message)
                return
        if plain.hexdigest() != diff_id.hex:
            self.note("error", where, f"the config says it unpacks to {diff_id}, but it does to {plain.hexdigest()}")


class _Hashed:
    """A stream that hashes what is read from it."""

    def __init__(self, stream: Readable, algorithm: str) -> None:
        self._stream = stream
        self._hash = hashlib.new(algorithm)

    def read(self, size: int, /) -> bytes:
        data = self._stream.read(size)
        self._hash.update(data)
        return data

    def drain(self) -> None:
        while self.read(_CHUNK):
            pass

    def hexdigest(self) -> str:
        return self._hash.hexdigest()


def _where(digest: Digest) -> str:
    return f"blobs/{digest.algorithm}/{digest.hex}"
