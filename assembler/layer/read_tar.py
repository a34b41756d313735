"""Reads a tar archive as a stream: ustar, PAX, GNU and V7, in bounded memory, without extracting anything.

Names stay bytes. Nothing is seeked back to, so a pipe will do; a file is skipped through by seeking forward.

    for member in read_tar(stream):
        for chunk in member.chunks():      # optional: what is not read is skipped
            ...
"""

from __future__ import annotations

from dataclasses import dataclass, field
from struct import Struct
from typing import TYPE_CHECKING, Final, Protocol

from assembler.errors import ImageError
from assembler.layer import tar_fields
from assembler.layer.tar_fields import Records, damaged
from assembler.model.node import Kind, Node, Xattrs

if TYPE_CHECKING:
    from collections.abc import Iterator

BLOCK: Final = 512
END: Final = bytes(BLOCK)
_BUFFER: Final = 1 << 20
EXTENSION_CAP: Final = 1 << 20
"""Go's readers take at most 1 MiB of PAX records or long name; so do we."""
PATH_MAX: Final = 4096
"""Linux's own limit; it also keeps work that grows with the square of a path's length small."""

_HEADER: Final = Struct("100s 8s 8s 8s 12s 12s 8s c 100s 8s 32s 32s 8s 8s 155s 12x")
HARD_LINK: Final = b"1"
KINDS: Final = {
    b"0": Kind.REGULAR, b"\0": Kind.REGULAR, b"7": Kind.REGULAR, HARD_LINK: Kind.REGULAR, b"2": Kind.SYMLINK,
    b"3": Kind.CHARACTER, b"4": Kind.BLOCK, b"5": Kind.DIRECTORY, b"6": Kind.FIFO,
}
SPARSE: Final = b"S"
RECORDS: Final = b"x"
_LONG_NAME, _LONG_LINK, _GLOBAL = b"L", b"K", b"g"
EXTENSIONS: Final = frozenset({_LONG_NAME, _LONG_LINK, RECORDS, _GLOBAL})


class Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


@dataclass(slots=True, eq=False)
class Member:
    """One member: ``name`` and ``linkname`` raw as the archive has them, ``path`` and ``link`` made relative.

    ``kind`` is REGULAR for a hard link too; ``is_link`` tells them apart. ``size`` is the number of data bytes that
    follow (0 for everything but regular files, whatever the header claims), ``data_offset`` where they start in the
    archive, ``header_size`` how many bytes of headers stand before it, ``block`` the last 512 of them, ``records`` the
    member's PAX records with the global ones below.
    """

    name: bytes
    kind: Kind
    is_link: bool
    mode: int
    uid: int
    gid: int
    mtime: int
    size: int
    linkname: bytes
    records: Records
    block: bytes
    data_offset: int
    header_size: int
    _reader: TarReader = field(repr=False)

    @property
    def path(self) -> bytes:
        """The path in the rootfs, without ``./``, doubled and trailing slashes; ``..`` is an ImageError."""
        return relative(self.name)

    @property
    def link(self) -> bytes:
        """The path that a hard link names, made relative in the same way."""
        return relative(self.linkname)

    @property
    def device(self) -> tuple[int, int]:
        if self.kind is not Kind.CHARACTER and self.kind is not Kind.BLOCK:
            return (0, 0)
        return tar_fields.number(self.block[329:337]), tar_fields.number(self.block[337:345])

    @property
    def xattrs(self) -> Xattrs:
        if not self.records:
            return ()
        found = (item for item in self.records.items() if item[0].startswith(tar_fields.XATTR))
        return tuple(sorted((key.removeprefix(tar_fields.XATTR), value) for key, value in found))

    def node(self) -> Node:
        """What Linux makes of it; whatever the header says, a symbolic link has all permissions there (symlink(7))."""
        is_link = self.kind is Kind.SYMLINK
        target, mode = (self.linkname, 0o777) if is_link else (b"", self.mode)
        return Node(self.kind, mode, self.uid, self.gid, self.mtime, self.size, target, self.device, self.xattrs)

    def chunks(self) -> Iterator[bytes]:
        """The data, in pieces of at most 1 MiB; only until the next member is asked for."""
        return self._reader.data_of(self)

    def read(self, cap: int) -> bytes:
        """All the data of a small member; ImageError when it is larger than ``cap``."""
        if self.size > cap:
            raise ImageError(f"{self.name.decode(errors='replace')} in the archive is {self.size} bytes; "
                             f"at most {cap} are read into memory", hint="Check where the archive comes from.")
        return b"".join(self.chunks())


def relative(name: bytes) -> bytes:
    """A member's name as a path in the rootfs. A leading slash is dropped, as every engine does."""
    if name.endswith(b"/"):
        name = name[:-1]
    if b"/." in name or b"//" in name or name[:1] in (b".", b"/", b""):
        parts = [part for part in name.split(b"/") if part not in (b"", b".")]
        if b".." in parts:
            raise damaged(f"the name {name[:200]!r} leads out of the rootfs")
        return b"/".join(parts)
    return name


class TarReader:
    """Iterates over the members once; afterwards ``end_blocks``, ``trailing`` and ``hidden`` tell how it ended.

    ``end_blocks`` counts the zero blocks (two are right), ``trailing`` all bytes after the second one, ``hidden`` is
    true when anything but zeros stands behind the first zero block. The stream is read to its end (trap 26).
    """

    def __init__(self, stream: Readable) -> None:
        self._source = _Source(stream)
        self._current: Member | None = None
        self._left = 0
        self._globals: Records = {}
        self._globals_size = 0
        self.end_blocks = 0
        self.trailing = 0
        self.hidden = False

    def __iter__(self) -> Iterator[Member]:
        while (member := self._next()) is not None:
            self._current, self._left = member, member.size
            yield member
            self._current = None
            self._leave(member)
        self._finish()

    def data_of(self, member: Member) -> Iterator[bytes]:
        while self._current is member and self._left:
            chunk = self._source.some(self._left)
            self._left -= len(chunk)
            yield chunk

    def _leave(self, member: Member) -> None:
        """Skips what nobody read of the data, and its padding."""
        self._source.skip(self._left + -member.size % BLOCK)

    def _next(self) -> Member | None:
        extensions: dict[bytes, bytes] = {}
        start = self._source.position
        while (block := self._source.block()) is not None and block != END:
            _check_sum(block)
            flag = block[156:157]
            if flag not in EXTENSIONS:
                return self._member(block, flag, extensions, start)
            self._extend(extensions, block, flag)
        if extensions:
            raise damaged("it ends after an extended header")
        self.end_blocks = 0 if block is None else 1
        return None

    def _extend(self, extensions: dict[bytes, bytes], block: bytes, flag: bytes) -> None:
        if flag in extensions:
            raise damaged("a member has the same extended header twice")
        extensions[flag] = self._extension(block)
        if flag == _GLOBAL:
            self._add_globals(extensions.pop(_GLOBAL))

    def _extension(self, block: bytes) -> bytes:
        size = tar_fields.count({}, b"size", block[124:136])
        if size > EXTENSION_CAP:
            raise damaged(f"an extended header of {size} bytes is too long")
        return self._source.exactly(size + -size % BLOCK)[:size]

    def _add_globals(self, data: bytes) -> None:
        self._globals_size += len(data)
        if self._globals_size > EXTENSION_CAP:
            raise damaged("its global headers are too long")
        self._globals = {**self._globals, **tar_fields.parse_records(data)}

    def _member(self, block: bytes, flag: bytes, extensions: dict[bytes, bytes], start: int) -> Member:
        if flag not in KINDS:
            raise tar_fields.sparse() if flag == SPARSE else damaged(f"it has a member of the unknown type {flag!r}")
        records = self._globals
        if RECORDS in extensions:
            records = {**records, **tar_fields.parse_records(extensions[RECORDS])}
        name, mode, uid, gid, size, mtime, _, _, linkname, magic, _, _, _, _, prefix = _HEADER.unpack(block)
        name = name.partition(b"\0")[0]
        if magic[:6] == b"ustar\0" and prefix[0]:
            name = prefix.partition(b"\0")[0] + b"/" + name
        linkname = linkname.partition(b"\0")[0]
        if extensions:
            name = extensions.get(_LONG_NAME, name).rstrip(b"\0")
            linkname = extensions.get(_LONG_LINK, linkname).rstrip(b"\0")
        if extensions or records:
            name, linkname = tar_fields.text(records, b"path", name), tar_fields.text(records, b"linkpath", linkname)
        if not name or max(len(name), len(linkname)) > PATH_MAX:
            raise damaged("a member has no name, or one that is longer than a path can be")
        kind = Kind.DIRECTORY if flag == b"\0" and name.endswith(b"/") else KINDS[flag]
        is_link = flag == HARD_LINK
        length = tar_fields.count(records, b"size", size)
        return Member(
            name, kind, is_link, tar_fields.number(mode) & 0o7777,
            tar_fields.count(records, b"uid", uid), tar_fields.count(records, b"gid", gid),
            tar_fields.seconds(records, mtime),
            length if kind is Kind.REGULAR and not is_link else 0,
            linkname, records, block, self._source.position, self._source.position - start, self,
        )

    def _finish(self) -> None:
        if self.end_blocks and (block := self._source.block()) is not None:
            if block == END:
                self.end_blocks = 2
            else:
                self.trailing, self.hidden = BLOCK, True
        for chunk in self._source.rest():
            self.trailing += len(chunk)
            self.hidden = self.hidden or chunk.count(0) != len(chunk)


def read_tar(stream: Readable) -> Iterator[Member]:
    """The members of ``stream`` in order. Anything malformed is an ImageError."""
    return iter(TarReader(stream))


def _check_sum(block: bytes) -> None:
    expected = tar_fields.number(block[148:156])
    rest = block[:148] + block[156:]
    unsigned = sum(rest) + 256
    if unsigned == expected:
        return
    # Some old writers summed signed bytes; POSIX lets readers take both. An empty field is none.
    signed = unsigned - 256 * sum(byte > 127 for byte in rest)
    if signed != expected or expected == 0:
        raise damaged("a header's checksum is wrong")


class _Source:
    """A stream with a position, a buffer of 1 MiB and no patience for early ends."""

    def __init__(self, stream: Readable) -> None:
        self._stream = stream
        self._buffer = b""
        self._at = 0
        self.position = 0
        seekable = getattr(stream, "seekable", None)
        self._seek = getattr(stream, "seek", None) if seekable is not None and seekable() else None

    def block(self) -> bytes | None:
        """The next 512 bytes, or None at the end."""
        at = self._at
        if len(self._buffer) - at >= BLOCK:
            self._at = at + BLOCK
            self.position += BLOCK
            return self._buffer[at : at + BLOCK]
        block = b"".join(self._pieces(BLOCK))
        if block and len(block) < BLOCK:
            raise damaged("it ends in the middle of a block")
        return block or None

    def exactly(self, size: int) -> bytes:
        data = b"".join(self._pieces(size))
        if len(data) < size:
            raise self._cut_off()
        return data

    def some(self, most: int) -> bytes:
        """At least one byte and at most ``most``."""
        if self._at == len(self._buffer) and not self._fill():
            raise self._cut_off()
        piece = self._buffer[self._at : self._at + most]
        self._at += len(piece)
        self.position += len(piece)
        return piece

    def skip(self, size: int) -> None:
        buffered = len(self._buffer) - self._at
        if size > buffered and self._seek is not None:
            # The last byte is read, so that a cut-off file does not pass for a whole one.
            self._seek(size - buffered - 1, 1)
            self.position += size - 1
            self._buffer, self._at = b"", 0
            size = 1
        while size:
            step = min(size, len(self._buffer) - self._at)
            self._at += step
            self.position += step
            size -= step
            if size and not self._fill():
                raise self._cut_off()

    def rest(self) -> Iterator[bytes]:
        while self._at < len(self._buffer) or self._fill():
            yield self.some(_BUFFER)

    def _pieces(self, size: int) -> Iterator[bytes]:
        while size and (self._at < len(self._buffer) or self._fill()):
            piece = self.some(size)
            size -= len(piece)
            yield piece

    def _fill(self) -> bool:
        self._buffer, self._at = self._stream.read(_BUFFER), 0
        return bool(self._buffer)

    def _cut_off(self) -> ImageError:
        return damaged(f"it was cut off after {self.position} bytes")
