"""The plain bytes of a stream that may be compressed; what it is, its first bytes say (media types often lie).

Docker's containerd store labels every compressed layer of a loaded archive as gzip, and ``docker save`` may hold any.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, Protocol, cast

import zstandard
from zlib_ng import zlib_ng

from assembler.errors import ImageError
from assembler.layer.fields import damaged

if TYPE_CHECKING:
    from assembler.layer.read import Readable

_FEED: Final = 1024
"""Bytes given to a decoder at a time: 4 bytes of zstd can grow to 128 KiB, so this keeps what comes out below 32 MiB.
Feeding 4 KiB would be 15 % faster and take four times the memory (measured)."""

_HEAD: Final = 18
"""Bytes: the longest header of a zstd frame."""

_LARGEST_WINDOW: Final = 128 << 20
"""Bytes: the most that zstd's own readers take unless they are told otherwise."""

_GZIP: Final = b"\x1f\x8b"
_ZSTD: Final = b"\x28\xb5\x2f\xfd"
_SKIPPABLE: Final = b"\x2a\x4d\x18"
_NO_TIMES: Final = (bytes(4), b"\x00\x09\x6e\x88")
"""None, and Go's zero time cut to 32 bits, which pgzip writes for umoci and podman: neither depends on the host."""
_NAME_OR_COMMENT: Final = 0x18
_ERRORS: Final = (cast("type[Exception]", zlib_ng.error), zstandard.ZstdError)


class _Decoder(Protocol):
    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, /) -> bytes: ...


CodecOfStream = Literal["gzip", "zstd", "none"]


def codec_of(head: bytes) -> CodecOfStream:
    """What the first four bytes of a stream say."""
    if head.startswith(_GZIP):
        return "gzip"
    if head.startswith(_ZSTD) or _is_skippable(head):
        return "zstd"
    return "none"


def _is_skippable(head: bytes) -> bool:
    return head[1:4] == _SKIPPABLE and 0x50 <= head[0] <= 0x5F


def decompress(stream: Readable) -> Unpacked:
    """Plain bytes, whatever ``stream`` is. Damage, and an end in the middle, are an ImageError."""
    head = b""
    while len(head) < 4 and (more := stream.read(4 - len(head))):
        head += more
    return Unpacked(_Joined(head, stream), codec_of(head), starts_oddly=_is_skippable(head.ljust(4)))


class Unpacked:
    """Gzip members or zstd frames, one after the other, as one stream; other streams as they are.

    Read to its end, it knows what stricter readers do not take: ``zeros`` counts those between and behind members,
    which only gzip itself ignores; with ``starts_oddly`` a skippable frame hides from them that it is zstd; ``window``
    is the largest that a frame needs, in bytes. ``is_dated`` says that a gzip header has a time, a name or a comment.

    zstandard's own stream reader ends quietly where a frame was cut off (measured), so frames are followed here.
    """

    def __init__(self, stream: Readable, codec: CodecOfStream, *, starts_oddly: bool = False) -> None:
        self.codec = codec
        self.starts_oddly = starts_oddly
        self.zeros = 0
        self.window = 0
        self.is_dated = False
        self._stream = stream
        self._decoder: _Decoder | None = None
        self._input = b""
        self._ready = memoryview(b"")
        self._ended = False

    def read(self, size: int, /) -> bytes:
        if self.codec == "none":
            return self._stream.read(size)
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
            self.zeros += len(data) - len(start)
            if not start:
                self._ended = not data
                return
            data = self._head(start)
            self._decoder = self._gzip(data) if self.codec == "gzip" else self._zstd(data)
        elif not data:
            raise damaged("its compressed data was cut off")
        self._decode(self._decoder, data)

    def _head(self, start: bytes) -> bytes:
        while len(start) < _HEAD and (more := self._stream.read(_FEED)):
            start += more
        return start

    def _gzip(self, head: bytes) -> _Decoder:
        self.is_dated = self.is_dated or head[4:8] not in _NO_TIMES or bool(head[3:4] and head[3] & _NAME_OR_COMMENT)
        decoder: _Decoder = zlib_ng.decompressobj(31)
        return decoder

    def _zstd(self, head: bytes) -> _Decoder:
        if not _is_skippable(head.ljust(4)):
            try:
                window = zstandard.get_frame_parameters(head).window_size
            except zstandard.ZstdError as error:
                raise _broken(error) from error
            if window > _LARGEST_WINDOW:
                raise ImageError(f"its zstd window is {window >> 20} MiB, and readers take at most 128",
                                 hint="Compress it again with a smaller window; zstd's --long=27 is the largest.")
            self.window = max(self.window, window)
        return zstandard.ZstdDecompressor().decompressobj()

    def _decode(self, decoder: _Decoder, data: bytes) -> None:
        try:
            self._ready = memoryview(decoder.decompress(data))
        except _ERRORS as error:
            raise _broken(error) from error
        if decoder.eof:
            self._input, self._decoder = decoder.unused_data, None


def _broken(error: Exception) -> ImageError:
    return damaged(f"it can not be decompressed ({error})")


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
