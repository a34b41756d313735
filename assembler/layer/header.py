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

_USTAR: Final = struct.Struct("100s8s8s8s12s12s8sc100s8s32s32s8s8s155s12x")
_NO_CHECKSUM: Final = b" " * 8
_NO_DEVICE: Final = b"0000000\0"
_PAX_NAME: Final = b"././@PaxHeader"

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
    node = entry.node or _WHITEOUT
    name = _member_name(entry)
    typeflag, link, size = _TYPES[node.kind], node.target, node.size
    if entry.link is not None:
        typeflag, link, size = b"1", entry.link, 0  # trap 12: a link's size must be 0
    records: list[tuple[bytes, bytes]] = []

    # A directory's slash is a courtesy to old readers (its type says what it is), and not worth a PAX header.
    split = _split(name) or _split(name.rstrip(b"/"))
    if split is None:
        records.append((b"path", name))
        split = (b"", name[:_NAME])
    if len(link) > _LINK:
        records.append((b"linkpath", link))
        link = link[:_LINK]
    if records and not _is_utf8(name, entry.link or node.target):
        records.append((b"hdrcharset", b"BINARY"))  # POSIX: values are UTF-8 unless this says otherwise
    size_field = _octal(b"size", size, _MAX_11, records)
    uid_field = _octal(b"uid", node.uid, _MAX_7, records)
    gid_field = _octal(b"gid", node.gid, _MAX_7, records)
    mtime_field = _octal(b"mtime", node.mtime, _MAX_11, records)
    if node.xattrs and entry.link is None:
        records.extend(_xattr_records(node.xattrs))

    if node.kind is Kind.CHARACTER or node.kind is Kind.BLOCK:
        major, minor = (b"%07o\0" % number for number in node.device)
    else:
        major = minor = _NO_DEVICE
    block = _ustar(
        split[1], b"%07o\0" % node.mode, uid_field, gid_field, size_field, mtime_field, typeflag, link, major, minor,
        split[0],
    )  # fmt: skip
    return _pax(records) + block if records else block


def padding(size: int) -> int:
    """Zero bytes after a content of ``size`` bytes."""
    return -size % BLOCK


def is_storable(name: bytes) -> bool:
    """Whether a base name can stand in a layer: names that begin like a whiteout can't (trap 5)."""
    return not name.startswith(WHITEOUT_PREFIX)


def _member_name(entry: Entry) -> bytes:
    if entry.node is not None and entry.node.kind is Kind.DIRECTORY:
        return entry.path + b"/" if entry.path else b"./"
    return entry.tar_path


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


def _octal(keyword: bytes, value: int, most: int, records: list[tuple[bytes, bytes]]) -> bytes:
    if 0 <= value <= most:
        return b"%0*o\0" % (7 if most == _MAX_7 else 11, value)
    records.append((keyword, b"%d" % value))
    return b"0" * (7 if most == _MAX_7 else 11) + b"\0"


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
    size = b"%011o\0" % len(body)
    zero = b"0000000\0"
    head = _ustar(_PAX_NAME, b"0000644\0", zero, zero, size, b"00000000000\0", b"x", b"", zero, zero, b"")
    return head + body + bytes(padding(len(body)))


def _record(keyword: bytes, value: bytes) -> bytes:
    """``"%d %s=%s\\n"`` where the number counts the record's own bytes, its digits included."""
    rest = len(keyword) + len(value) + 3
    length = rest + len(str(rest))
    if len(str(length)) != len(str(rest)):
        length += 1
    return b"%d %s=%s\n" % (length, keyword, value)


def _ustar(
    name: bytes, mode: bytes, uid: bytes, gid: bytes, size: bytes, mtime: bytes, typeflag: bytes, link: bytes,
    major: bytes, minor: bytes, prefix: bytes,
) -> bytes:  # fmt: skip
    block = _USTAR.pack(
        name, mode, uid, gid, size, mtime, _NO_CHECKSUM, typeflag, link, b"ustar\x0000", b"", b"", major, minor, prefix
    )
    return block[:148] + b"%06o\0 " % _sum(block) + block[156:]


def _sum(block: bytes) -> int:
    """The sum of all bytes. adler32's lower half is that plus 1, modulo 65,521 (RFC 1950, 8.2), and eight times faster.

    512 ASCII bytes can't add up to so much.
    """
    return (zlib.adler32(block) & 0xFFFF) - 1 if block.isascii() else sum(block)
