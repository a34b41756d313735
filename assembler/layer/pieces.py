"""Bytes that arrive in pieces, as something to read."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


class Pieces:
    """A :class:`assembler.layer.read.Readable`. ``taken`` counts the bytes that arrived."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._ready = memoryview(b"")
        self.taken = 0

    def read(self, size: int, /) -> bytes:
        while not self._ready:
            piece = next(self._pieces, None)
            if piece is None:
                return b""
            self.taken += len(piece)
            self._ready = memoryview(piece)
        piece, self._ready = bytes(self._ready[:size]), self._ready[size:]
        return piece
