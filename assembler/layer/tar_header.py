"""An entry's tar header: ustar where it can hold the entry, PAX records for exactly what it can't (POSIX pax, 4.2 ff).

Every field depends on the entry alone, never on the host (trap 25): no user or group names, no access or change times,
no float times, fixed names for PAX headers.
"""

from __future__ import annotations

import struct
import zlib
from typing import Final

from assembler.errors import ImageError
from assembler.layer.entry import WHITEOUT_PREFIX, Entry
from assembler.model.node import Kind, Node, Xattrs

BLOCK: Final = 512
END: Final = bytes(2 * BLOCK)
"""Two zero blocks end the archive, and nothing follows them: tar's padding to 10 KiB records serves tapes."""

CAPABILITY: Final = b"security.capability"

_USTAR: Final = struct.Struct("100s48s8sc100s8s32s32s16s155s12x")
_NUMBERS: Final = b"%07o\0%07o\0%07o\0%011o\0%011o\0"
"""mode, uid, gid, size, mtime: five fields that lie side by side."""
_DEVICES: Final = b"%07o\0%07o\0"
_NO_DEVICE: Final = _DEVICES % (0, 0)
_NO_CHECKSUM: Final = b" " * 8
_PAX_NAME: Final = b"././@PaxHeader"
_PAX_MOST: Final = 1 << 20

_NAME, _PREFIX, _LINK = 100, 155, 100
_MAX_7: Final = 0o7777777
_MAX_11: Final = 0o77777777777

_TYPES: Final = {
    Kind.REGULAR: b"0",
    Kind.SYMLINK: b"2",
    Kind.CHARACTER: b"3",
    Kind.BLOCK: b"4",
    Kind.DIRECTORY: b"5",
    Kind.FIFO: b"6",
}
_WHITEOUT: Final = Node(Kind.REGULAR, 0)
"""Whiteouts carry no time and no owner: anything else would make the digest depend on when the file was deleted."""


def header(entry: Entry) -> bytes:
    """The entry's header, a multiple of 512 bytes. Content (``entry.node.size`` bytes) and padding follow."""
    kind, mode, uid, gid, mtime, size, link, device, xattrs, _ = entry.node or _WHITEOUT
    name, typeflag = _member_name(entry), _TYPES[kind]
    if entry.link is not None:
        typeflag, link, size, xattrs = b"1", entry.link, 0, repeated(xattrs)  # trap 12: a link's size must be 0
    records: list[tuple[bytes, bytes]] = []

    # A directory's slash is a courtesy to old readers (its type says what it is), and not worth a PAX header.
    split = _split(name) or _split(name.rstrip(b"/"))
    if split is None:
        records.append((b"path", name))
        split = (b"", name[:_NAME])
    if len(link) > _LINK:
        records.append((b"linkpath", link))
    if records and not _is_utf8(*(value for _, value in records)):
        records.append((b"hdrcharset", b"BINARY"))  # POSIX: values are UTF-8 unless this says otherwise
    if xattrs:
        records.extend(_xattr_records(xattrs))
    if not (0 <= uid <= _MAX_7 and 0 <= gid <= _MAX_7 and 0 <= size <= _MAX_11 and 0 <= mtime <= _MAX_11):
        uid, gid = _held(b"uid", uid, _MAX_7, records), _held(b"gid", gid, _MAX_7, records)
        size, mtime = _held(b"size", size, _MAX_11, records), _held(b"mtime", mtime, _MAX_11, records)
    block = _ustar(split, _NUMBERS % (mode, uid, gid, size, mtime), typeflag, link[:_LINK], device)
    return _pax(records) + block if records else block


def repeated(xattrs: Xattrs) -> Xattrs:
    """What a hard link must say again of the attributes of its file.

    Docker (20.10 and 26) and containerd (1.6) change the owner of every entry, of a link as well. By that Linux clears
    the file's capabilities, and then they set the attributes of the link's own header. Nothing else is lost so.
    """
    return tuple(pair for pair in xattrs if pair[0] == CAPABILITY) if xattrs else ()


def padding(size: int) -> int:
    """Zero bytes after a content of ``size`` bytes."""
    return -size % BLOCK


def is_storable(name: bytes) -> bool:
    """Whether a base name can stand in a layer: names that begin like a whiteout can't (trap 5)."""
    return not name.startswith(WHITEOUT_PREFIX)


def _member_name(entry: Entry) -> bytes:
    path, node, _, _ = entry
    if node is None:
        return entry.tar_path
    if node.kind is Kind.DIRECTORY:
        return path + b"/" if path else b"./"
    return path


def _split(name: bytes) -> tuple[bytes, bytes] | None:
    """(prefix, name) for ustar's two fields, or None where the name doesn't fit them."""
    if len(name) <= _NAME:
        return b"", name
    if len(name) > _PREFIX + 1 + _NAME:
        return None
    # The last slash that leaves a prefix of at most 155 bytes; a directory's own trailing slash can't be the border.
    slash = name.rfind(b"/", 0, min(_PREFIX + 1, len(name) - 1))
    if slash <= 0 or len(name) - slash - 1 > _NAME:
        return None
    return name[:slash], name[slash + 1 :]


def _held(keyword: bytes, value: int, most: int, records: list[tuple[bytes, bytes]]) -> int:
    """``value`` if its field can hold it. Otherwise a record does, and the field is 0."""
    if 0 <= value <= most:
        return value
    records.append((keyword, b"%d" % value))
    return 0


def _xattr_records(xattrs: Xattrs) -> list[tuple[bytes, bytes]]:
    for name, value in xattrs:
        if b"=" in name or not value:
            raise ImageError(f"PAX can't store the extended attribute {name!r}: it is empty or has a '=' in its name")
    return [(b"SCHILY.xattr." + name, value) for name, value in xattrs]


def _is_utf8(*values: bytes) -> bool:
    try:
        for value in values:
            value.decode()
    except UnicodeDecodeError:
        return False
    return True


def _pax(records: list[tuple[bytes, bytes]]) -> bytes:
    # hdrcharset comes first, as POSIX wants it before the values it speaks of; the others in order of their keyword.
    records.sort(key=lambda record: (record[0] != b"hdrcharset", record[0]))
    body = b"".join(_record(keyword, value) for keyword, value in records)
    if len(body) > _PAX_MOST:
        raise ImageError(f"names and extended attributes of {len(body)} bytes are more than readers of layers take",
                         hint=f"Remove attributes in a step: Go's archive/tar takes {_PAX_MOST} bytes for each file.")
    head = _ustar((b"", _PAX_NAME), _NUMBERS % (0o644, 0, 0, len(body), 0), b"x", b"", (0, 0))
    return head + body + bytes(padding(len(body)))


def _record(keyword: bytes, value: bytes) -> bytes:
    """``"%d %s=%s\\n"`` where the number counts the record's own bytes, its digits included."""
    rest = len(keyword) + len(value) + 3
    length = rest + len(str(rest))
    if len(str(length)) != len(str(rest)):
        length += 1
    return b"%d %s=%s\n" % (length, keyword, value)


def _ustar(
    split: tuple[bytes, bytes], numbers: bytes, typeflag: bytes, link: bytes, device: tuple[int, int]
) -> bytes:
    """``split`` is a name as :func:`_split` gives it."""
    prefix, name = split
    devices = _DEVICES % device if any(device) else _NO_DEVICE
    block = _USTAR.pack(name, numbers, _NO_CHECKSUM, typeflag, link, b"ustar\x0000", b"", b"", devices, prefix)
    return b"%b%06o\0 %b" % (block[:148], _sum(block), block[156:])


def _sum(block: bytes) -> int:
    """The sum of all bytes. adler32's lower half is that plus 1, modulo 65,521 (RFC 1950, 8.2), and eight times faster.

    512 ASCII bytes can't add up to so much.
    """
    return (zlib.adler32(block) & 0xFFFF) - 1 if block.isascii() else sum(block)
