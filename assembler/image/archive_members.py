"""What an archive's members are: small files in memory, layers as blobs of a layout, links as names for names."""

from __future__ import annotations

import hashlib
import posixpath
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Final

from assembler.errors import ImageError
from assembler.image import strict_json
from assembler.image.blob_writer import blob_path
from assembler.image.pack_layer import CHUNK, pack
from assembler.layer.byte_streams import Pieces, Tapped
from assembler.layer.codecs import codec_of
from assembler.layer.codecs.codec import Compressor
from assembler.layer.decompress import decompress
from assembler.model import media_types
from assembler.model.descriptor import Descriptor
from assembler.model.digest import Digest
from assembler.model.node import Kind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from assembler.image.blob_store import BlobStore
    from assembler.layer.read_tar import Member

_SMALL: Final = strict_json.CONFIG_CAP
_SMALL_TOTAL: Final = 64 << 20
_MOST_MEMBERS: Final = 100_000
_SNIFFED: Final = 1024
HINT: Final = "Save the image again; docker save, skopeo and imgasm write what imgasm reads."

NewCompressor = Callable[[], Compressor]


@dataclass(frozen=True, slots=True)
class StoredLayer:
    descriptor: Descriptor
    diff_id: Digest


class ArchiveMembers:
    """Filled by ``take``, member by member; then asked by name. Nothing is ever written under a name of the archive."""

    def __init__(self, layout: BlobStore, new_compressor: NewCompressor) -> None:
        self._layout = layout
        self._new_compressor = new_compressor
        self._documents: dict[str, bytes] = {}
        self._layers: dict[str, StoredLayer] = {}
        self._links: dict[str, str] = {}
        self._small_total = 0

    def __contains__(self, name: str) -> bool:
        return name in self._documents

    def holds(self, name: str) -> bool:
        """Whether there is such a file, large or small."""
        name = self._resolve(name)
        return name in self._documents or name in self._layers

    def document(self, name: str) -> bytes:
        found = self._documents.get(self._resolve(name))
        if found is None:
            raise ImageError(f"the archive has no file {name[:200]!r} of at most {_SMALL} bytes", hint=HINT)
        return found

    def layer(self, name: str) -> StoredLayer:
        name = self._resolve(name)
        if name not in self._layers:
            # So small and odd a layer that nothing showed it to be one.
            data = self.document(name)
            self._layers[name] = self._store(data[:4], iter((data,)), name)
        return self._layers[name]

    def store_as_it_is(self, name: str, blob: Descriptor) -> None:
        """Puts a file of the archive into the layout as the blob that it is called, also one that was taken for a
        plain layer and compressed."""
        name = self._resolve(name)
        if name in self._documents:
            self._layout.put_bytes(blob.media_type, self._documents[name])
        elif self._layers[name].descriptor.digest != blob.digest:
            with (self._layout.open_blob(self._layers[name].descriptor.digest) as packed,
                  self._layout.new_blob(algorithm=blob.digest.algorithm) as plain):
                stream = decompress(packed)
                while chunk := stream.read(CHUNK):
                    plain.write(chunk)
                plain.commit(blob.digest)

    def take(self, member: Member) -> None:
        name = member.path.decode(errors="surrogateescape")
        if member.kind is Kind.REGULAR and not member.is_link:
            self._check_new(name)
            self._take_file(member, name)
        elif member.kind is Kind.SYMLINK or member.is_link:
            # ``docker save`` before 25 holds a layer that occurs twice as a link.
            self._check_new(name)
            folder = "" if member.is_link else posixpath.dirname(name)
            target = member.linkname.decode(errors="surrogateescape")
            self._links[name] = posixpath.normpath(posixpath.join(folder, target))

    def _check_new(self, name: str) -> None:
        if name in self._documents or name in self._layers or name in self._links:
            raise ImageError(f"the archive holds {name[:200]!r} twice", hint=HINT)
        if len(self._documents) + len(self._layers) + len(self._links) >= _MOST_MEMBERS:
            raise ImageError(f"the archive has more than {_MOST_MEMBERS} files: it is not an image", hint=HINT)

    def _resolve(self, name: str) -> str:
        name = posixpath.normpath(name)
        for _ in range(8):
            if name not in self._links:
                return name
            name = self._links[name]
        raise ImageError(f"{name[:200]!r} in the archive is a link in a circle of links", hint=HINT)

    def _take_file(self, member: Member, name: str) -> None:
        chunks, first = member.chunks(), b""
        while len(first) < _SNIFFED and (chunk := next(chunks, b"")):
            first += chunk
        if member.size > _SMALL or _looks_like_layer(first):
            self._layers[name] = self._store(first[:4], chain((first,), chunks), name)
            return
        self._small_total += member.size
        if self._small_total > _SMALL_TOTAL:
            raise ImageError("the archive holds too many small files to be an image", hint=HINT)
        self._documents[name] = first + b"".join(chunks)
        _check_name(name, Digest.of(self._documents[name]))

    def _store(self, head: bytes, pieces: Iterator[bytes], name: str) -> StoredLayer:
        """A layer as a blob: its own bytes when it is compressed, else those of a fresh compressor."""
        codec = codec_of(head)
        if codec.decoder is None:
            return StoredLayer(*pack(Pieces(pieces), self._layout, self._new_compressor(), partial(_check_name, name)))
        plain, stored = hashlib.sha256(), hashlib.sha256()
        with self._layout.new_blob(hashed=False) as blob:
            packed = decompress(Tapped(Pieces(pieces), stored.update, blob.write))
            while chunk := packed.read(CHUNK):
                plain.update(chunk)
            digest = Digest("sha256", stored.hexdigest())
            _check_name(name, digest)
            blob.commit(digest)
        descriptor = Descriptor(media_types.OCI_LAYER + codec.suffix, digest, blob.size)
        return StoredLayer(descriptor, Digest("sha256", plain.hexdigest()))


def _looks_like_layer(first: bytes) -> bool:
    is_empty_tar = len(first) >= _SNIFFED and not any(first[:_SNIFFED])
    return codec_of(first[:4]).decoder is not None or first[257:262] == b"ustar" or is_empty_tar


def _check_name(name: str, digest: Digest) -> None:
    """A file under blobs/ must be what its name says."""
    is_blob = posixpath.dirname(name) == posixpath.dirname(blob_path(digest))
    if is_blob and name != blob_path(digest):
        raise ImageError(f"{name} in the archive does not match its digest: its bytes are {digest}", hint=HINT)
