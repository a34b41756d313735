"""The files of an .rpm: a lead, two headers, and a compressed cpio archive (rpm.org, "RPM V4 package format").

cpio(5), "New ASCII format", and rpm's own form of it for files of 4 GiB and more, whose entries only have a number.
"""

from __future__ import annotations

import lzma
import stat
from struct import Struct
from typing import TYPE_CHECKING, BinaryIO, Final, cast

from assembler.kernel.compression import packing_of
from assembler.layer.decompress import decompress
from assembler.model.node import Kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from assembler.layer.read_tar import Readable

_LEAD: Final = b"\xed\xab\xee\xdb"
_LEAD_SIZE: Final = 96
_HEADER: Final = Struct(">3sB4xII")
_HEADER_MAGIC: Final = b"\x8e\xad\xe8"
_ENTRY: Final = 110
_NEW_ASCII: Final = (b"070701", b"070702")
_END: Final = b"TRAILER!!!"
_CHUNK: Final = 1 << 20
_LONGEST: Final = 1 << 16


def read_rpm(file: BinaryIO) -> Iterator[tuple[bytes, Kind, bytes, Iterable[bytes]]]:
    """Each file's path, kind, target if it is a symbolic link, and the pieces of its content. ValueError, EOFError."""
    if file.read(_LEAD_SIZE)[:4] != _LEAD:
        raise ValueError("it is no RPM package")
    _skip_header(file)
    file.seek(-file.tell() % 8, 1)  # only the first of the headers is padded
    _skip_header(file)
    start = file.read(8)
    file.seek(-len(start), 1)
    packing = packing_of(start)
    yield from _entries(_Exactly(plain_stream(file, is_lzma=packing in ("xz", "lzma"))))


def plain_stream(file: BinaryIO, *, is_lzma: bool) -> Readable:
    """What is compressed with xz, or with anything that a layer can be compressed with."""
    return cast("Readable", lzma.LZMAFile(file)) if is_lzma else decompress(file)


def _skip_header(file: BinaryIO) -> None:
    data = file.read(_HEADER.size)
    if len(data) < _HEADER.size:
        raise EOFError("it is cut off")
    magic, _, entries, size = _HEADER.unpack(data)
    if magic != _HEADER_MAGIC:
        raise ValueError("its headers are damaged")
    file.seek(16 * entries + size, 1)


def _entries(stream: _Exactly) -> Iterator[tuple[bytes, Kind, bytes, Iterable[bytes]]]:
    while True:
        header = stream.read(_ENTRY)
        if header[:6] not in _NEW_ASCII:
            raise ValueError("it holds another archive than cpio's new ASCII format")
        mode, size, length = (int(header[at : at + 8], 16) for at in (14, 54, 94))
        if length > _LONGEST:
            raise ValueError("a name in it is too long")
        name = stream.read(length).rstrip(b"\0")
        stream.read(-(_ENTRY + length) % 4)
        if name == _END:
            return
        path = name.removeprefix(b".").strip(b"/")
        pieces = stream.pieces(size)
        if stat.S_ISLNK(mode):
            yield path, Kind.SYMLINK, b"".join(pieces), ()
        elif stat.S_ISREG(mode):
            yield path, Kind.REGULAR, b"", pieces
        for _ in pieces:  # what nobody wanted
            pass
        stream.read(-size % 4)


class _Exactly:
    """A stream that gives as much as it is asked for, or EOFError."""

    def __init__(self, stream: Readable) -> None:
        self._stream = stream

    def read(self, size: int) -> bytes:
        return b"".join(self.pieces(size))

    def pieces(self, size: int) -> Iterator[bytes]:
        while size:
            piece = self._stream.read(min(size, _CHUNK))
            if not piece:
                raise EOFError("it is cut off")
            size -= len(piece)
            yield piece
