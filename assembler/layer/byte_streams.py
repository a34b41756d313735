"""Streams to read a layer from: bytes that arrive in pieces, and bytes that others see as well."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from assembler.layer.read_tar import Readable


class Pieces:
    """A :class:`assembler.layer.read_tar.Readable`. ``taken`` counts the bytes that arrived."""

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


class Tapped:
    """A readable; each of ``taps`` gets what is read of it. ``count`` is the bytes so far."""

    def __init__(self, stream: Readable, *taps: Callable[[bytes], object]) -> None:
        self._stream = stream
        self.taps = list(taps)
        self.count = 0

    def so_far(self) -> int:
        return self.count

    def read(self, size: int, /) -> bytes:
        data = self._stream.read(size)
        self.count += len(data)
        for tap in self.taps:
            tap(data)
        return data
