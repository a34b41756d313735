"""Where the bytes of a blob that is sent come from: a file here, or another registry."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from assembler.errors import ImageError
from assembler.model.digest import Digest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_PIECE: Final = 256 * 1024


class BlobSource(Protocol):
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
            raise ImageError(f"{self.path} can't be read: {error.strerror}") from error

    def check(self, digest: Digest) -> None:
        with self.path.open("rb") as file:
            actual = Digest(digest.algorithm, hashlib.file_digest(file, digest.algorithm).hexdigest())
        if actual != digest:
            raise ImageError(f"{self.path} holds {actual}, not {digest}: it is damaged or was changed",
                             hint="Build the image again.")
