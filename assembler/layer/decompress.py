"""The plain bytes of a stream that may be compressed; what it is, its first bytes say (media types often lie).

Docker's containerd store labels every compressed layer of a loaded archive as gzip, and ``docker save`` may hold any.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, Protocol, cast

import zstandard
from zlib_ng import zlib_ng

from assembler.layer.fields import damaged

if TYPE_CHECKING:
    from collections.abc import Callable

    from assembler.layer.read import Readable

_FEED: Final = 1024
"""Bytes given to a decoder at a time: 4 bytes of zstd can grow to 128 KiB, so this keeps what comes out below 32 MiB.
Feeding 4 KiB would be 15 % faster and take four times the memory (measured)."""

_GZIP: Final = b"\x1f\x8b"
_ZSTD: Final = b"\x28\xb5\x2f\xfd"
_SKIPPABLE: Final = b"\x2a\x4d\x18"
_ERRORS: Final = (cast("type[Exception]", zlib_ng.error), zstandard.ZstdError)


class _Decoder(Protocol):
    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, /) -> bytes: ...


def codec_of(head: bytes) -> Literal["gzip", "zstd", "none"]:
    """What the first four bytes of a stream say."""
    if head.startswith(_GZIP):
        return "gzip"
    if head.startswith(_ZSTD) or (head[1:4] == _SKIPPABLE and 0x50 <= head[0] <= 0x5F):
        return "zstd"
    return "none"


def decompress(stream: Readable) -> Readable:
    """Plain bytes, whatever ``stream`` is. Damage, and an end in the middle, are an ImageError."""
    head = b""
    while len(head) < 4 and (more := stream.read(4 - len(head))):
        head += more
    whole = _Joined(head, stream)
    codec = codec_of(head)
    if codec == "none":
        return whole
    return _Decompressed(whole, _gzip if codec == "gzip" else _zstd)


def _gzip() -> _Decoder:
    decoder: _Decoder = zlib_ng.decompressobj(31)
    return decoder


def _zstd() -> _Decoder:
    return zstandard.ZstdDecompressor().decompressobj()


class _Decompressed:
    """Gzip members or zstd frames, one after the other, as one stream.

    zstandard's own stream reader ends quietly where a frame was cut off (measured), so frames are followed here.
    """

    def __init__(self, stream: Readable, new_decoder: Callable[[], _Decoder]) -> None:
        self._stream = stream
        self._new_decoder = new_decoder
        self._decoder: _Decoder | None = None
        self._input = b""
        self._ready = memoryview(b"")
        self._ended = False

    def read(self, size: int, /) -> bytes:
        while not self._ready and not self._ended:
            self._step()
        piece = self._ready[:size]
        self._ready = self._ready[size:]
        return bytes(piece)

    def _step(self) -> None:
        data = self._input or self._stream.read(_FEED)
        self._input = b""
        if self._decoder is None:
            start = data.lstrip(b"\0")  # like gzip, which ignores zeros behind a member
            if not start:
                self._ended = not data
                return
            data = start
            self._decoder = self._new_decoder()
        elif not data:
            raise damaged("its compressed data was cut off")
        self._decode(self._decoder, data)

    def _decode(self, decoder: _Decoder, data: bytes) -> None:
        try:
            self._ready = memoryview(decoder.decompress(data))
        except _ERRORS as error:
            raise damaged(f"it can not be decompressed ({error})") from error
        if decoder.eof:
            self._input, self._decoder = decoder.unused_data, None


class _Joined:
    """A stream whose first bytes were read already."""

    def __init__(self, head: bytes, stream: Readable) -> None:
        self._head = head
        self._stream = stream

    def read(self, size: int, /) -> bytes:
        if self._head:
            piece, self._head = self._head[:size], self._head[size:]
            return piece
        return self._stream.read(size)
