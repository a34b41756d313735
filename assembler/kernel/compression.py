"""Modules and kernels are kept compressed: what with, and their plain bytes in bounded memory."""

from __future__ import annotations

import bz2
import lzma
import zlib
from typing import TYPE_CHECKING, Final

import zstandard

if TYPE_CHECKING:
    from collections.abc import Callable

LARGEST: Final = 256 << 20
"""Bytes that a module or a kernel can have; NVIDIA's largest has 70 million, Debian's kernel as many."""

_LZ4_BLOCK: Final = 8 << 20
_STARTS: Final = (
    (b"\xfd7zXZ\0", "xz"), (b"\x1f\x8b", "gzip"), (b"\x28\xb5\x2f\xfd", "zstd"), (b"\x5d\x00\x00", "lzma"),
    (b"BZh", "bzip2"), (b"\x02\x21\x4c\x18", "lz4"), (b"\x89LZO", "lzo"),
)  # fmt: skip


class Unpackable(Exception):
    """Why there are no plain bytes, as a part of a sentence."""


def packing_of(head: bytes | memoryview) -> str | None:
    """What the first bytes say; None for what is plain."""
    start = bytes(head[:8])
    return next((name for magic, name in _STARTS if start.startswith(magic)), None)


def unpack(data: bytes | memoryview, packing: str) -> bytes:
    """The plain bytes of the first stream in ``data``; what stands behind it is left alone. Unpackable."""
    if packing not in _UNPACK:
        raise Unpackable(f"it is compressed with {packing}, which imgasm can't read")
    try:
        plain = _UNPACK[packing](data)
    except (lzma.LZMAError, zlib.error, zstandard.ZstdError, OSError, EOFError) as error:
        raise Unpackable(f"its {packing} is damaged or cut off ({error})") from error
    if len(plain) > LARGEST:
        raise Unpackable(f"it is larger than {LARGEST} bytes when it is unpacked")
    return plain


def _xz(data: bytes | memoryview) -> bytes:
    return _whole(lzma.LZMADecompressor(), data)


def _whole(decoder: lzma.LZMADecompressor, data: bytes | memoryview) -> bytes:
    plain = decoder.decompress(data, LARGEST + 1)
    if not decoder.eof and len(plain) <= LARGEST:
        raise EOFError("it ends too early")
    return plain


def _gzip(data: bytes | memoryview) -> bytes:
    decoder = zlib.decompressobj(zlib.MAX_WBITS | 16)
    plain = decoder.decompress(data, LARGEST + 1)
    if not decoder.eof and len(plain) <= LARGEST:
        raise EOFError("it ends too early")
    return plain


def _zstd(data: bytes | memoryview) -> bytes:
    """Kernels' frames have windows of up to 128 MiB, and do not always say how much they hold."""
    reader = zstandard.ZstdDecompressor(max_window_size=1 << 31).stream_reader(data)
    plain = bytes(reader.read(LARGEST + 1))
    if not plain:
        raise EOFError("it ends too early")
    return plain


def _lz4(data: bytes | memoryview) -> bytes:
    """The old form, as the lz4 program writes it with -l: a magic number, and blocks that hold 8 MiB each."""
    from lz4.block import LZ4BlockError, decompress

    view, at, pieces, size = memoryview(data), 4, list[bytes](), 0
    while at + 4 <= len(view) and size <= LARGEST:
        length = int.from_bytes(view[at : at + 4], "little")
        at += 4
        if not length or length > len(view) - at:
            break  # what follows is the kernel's own
        try:
            piece = decompress(view[at : at + length], uncompressed_size=_LZ4_BLOCK)
        except LZ4BlockError as error:
            raise EOFError("a block is damaged") from error
        pieces.append(piece)
        size += len(piece)
        at += length
    if not pieces:
        raise EOFError("it holds no block")
    return b"".join(pieces)


def _bzip2(data: bytes | memoryview) -> bytes:
    return bz2.BZ2Decompressor().decompress(bytes(data), LARGEST + 1)


_UNPACK: Final[dict[str, Callable[[bytes | memoryview], bytes]]] = {
    "xz": _xz, "lzma": _xz, "gzip": _gzip, "zstd": _zstd, "bzip2": _bzip2, "lz4": _lz4,
}  # fmt: skip
