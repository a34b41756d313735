"""The layers of one image, unpacked in memory one over the other, and held against their diff_ids."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from assembler.errors import ImageError
from assembler.image.artifact import LAYERS
from assembler.image.blob_inventory import Findings, reason
from assembler.image.blob_writer import blob_path
from assembler.layer.check_layer import check_layer
from assembler.layer.decompress import decompress
from assembler.layer.path_tree import PathTree

if TYPE_CHECKING:
    from collections.abc import Sequence

    from assembler.image.blob_store import BlobStore
    from assembler.layer.decompress import Unpacked
    from assembler.layer.read_tar import Readable
    from assembler.model.descriptor import Descriptor
    from assembler.model.digest import Digest

_CHUNK: Final = 1 << 20
_WINDOW: Final = 8 << 20
"""Bytes: RFC 8878 asks no decoder for more."""


@dataclass(frozen=True, slots=True)
class LayerToCheck:
    """``blob`` is None for one that can't be read, ``diff_id`` where the config says none."""

    blob: Descriptor | None
    diff_id: Digest | None


def check_layers(store: BlobStore, layers: Sequence[LayerToCheck], findings: Findings) -> None:
    """The lowest first. Whatever lies above a layer that can't be read may rest on it."""
    below = PathTree()
    for layer in layers:
        if layer.blob is None:
            below.forget()
            continue
        where = blob_path(layer.blob.digest)
        try:
            with store.open_blob(layer.blob.digest) as file:
                _check(file, layer.blob, layer.diff_id, below, findings)
        except (ImageError, OSError) as error:
            findings.note("error", where, reason(error))
            below.forget()


def _check(file: Readable, blob: Descriptor, diff_id: Digest | None, below: PathTree, findings: Findings) -> None:
    packed, where = decompress(file), blob_path(blob.digest)
    if packed.codec != LAYERS.get(blob.media_type, packed.codec):
        findings.note("error", where, f"its type is {blob.media_type}, its compression {packed.codec}")
    plain = _Hashed(packed, diff_id.algorithm if diff_id is not None else "sha256")
    for finding in check_layer(plain, below, where):
        findings.add(finding)
    if plain.is_whole():
        _packing(packed, where, findings)
        if diff_id is not None and plain.hexdigest() != diff_id.hex:
            findings.note("error", where, f"the config says it unpacks to {diff_id}, but it does to "
                                          f"{diff_id.algorithm}:{plain.hexdigest()}")


def _packing(packed: Unpacked, where: str, findings: Findings) -> None:
    """What imgasm reads as gzip and zstd do, and engines do not, or what the digest should not depend on."""
    if packed.zeros:
        findings.note("error", where, f"{packed.zeros} zeros after the compressed data, which engines refuse")
    if packed.starts_oddly:
        findings.note("error", where, "a skippable frame comes first, so podman does not recognize it as zstd")
    if packed.window > _WINDOW:
        findings.note("warning", where, f"its zstd window is {packed.window >> 20} MiB; 8 are what every reader takes")
    if packed.is_dated:
        findings.note("warning", where, "its gzip header has a time, a name or a comment")


class _Hashed:
    """A stream that hashes what is read from it."""

    def __init__(self, stream: Readable, algorithm: str) -> None:
        self._stream = stream
        self._hash = hashlib.new(algorithm)
        self._is_broken = False

    def read(self, size: int, /) -> bytes:
        try:
            data = self._stream.read(size)
        except ImageError:
            self._is_broken = True
            raise
        self._hash.update(data)
        return data

    def is_whole(self) -> bool:
        """Reads what is left. False where that can't be done, which is told of once."""
        while not self._is_broken and self.read(_CHUNK):
            pass
        return not self._is_broken

    def hexdigest(self) -> str:
        return self._hash.hexdigest()
