"""Where the bytes of a blob that is sent come from: a file here, or another registry."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from assembler.errors import ImageError
from assembler.model.digest import Digest
from assembler.registry.unreachable import Unreachable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from assembler.model.oci import Descriptor
    from assembler.registry.repository import Repository

_PIECE: Final = 256 * 1024


class Source(Protocol):
    def read(self, offset: int, length: int) -> Iterator[bytes]:
        """Exactly these bytes, in pieces; as often as it is asked for."""

    def check(self, digest: Digest) -> None:
        """ImageError if it is the source's fault that a registry found another digest."""


@dataclass(frozen=True, slots=True)
class FileSource:
    path: Path

    def read(self, offset: int, length: int) -> Iterator[bytes]:
        try:
            with self.path.open("rb") as file:
                file.seek(offset)
                while length:
                    piece = file.read(min(_PIECE, length))
                    if not piece:
                        raise ImageError(f"{self.path} became shorter while it was being sent")
                    length -= len(piece)
                    yield piece
        except OSError as error:
            raise ImageError(f"{self.path} can not be read: {error.strerror}") from error

    def check(self, digest: Digest) -> None:
        with self.path.open("rb") as file:
            actual = Digest(digest.algorithm, hashlib.file_digest(file, digest.algorithm).hexdigest())
        if actual != digest:
            raise ImageError(f"{self.path} holds {actual}, not {digest}: it is damaged or was changed",
                             hint="Build the image again.")


@dataclass(frozen=True, slots=True)
class RegistrySource:
    """A blob of another repository, from registry to registry without a copy on disk."""

    repository: Repository
    blob: Descriptor

    def read(self, offset: int, length: int) -> Iterator[bytes]:
        """A connection that breaks is an error of the upload, which then starts again."""
        with self.repository.open_blob(self.blob.digest, offset) as pieces:
            for piece in pieces:
                yield piece[:length]
                length -= min(len(piece), length)
                if not length:
                    return
        if length:
            raise Unreachable(f"{self.repository.name} ended {length} bytes before the end of {self.blob.digest}")

    def check(self, digest: Digest) -> None:
        """The other registry's bytes can not be told from the way's without reading them once more; one retry does."""
