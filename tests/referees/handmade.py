"""A tiny tar writer for layers made by hand: no code of imgasm's, no tarfile, and forms that imgasm never writes."""

from __future__ import annotations

import stat
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.support.rootfs import Fact, Facts

if TYPE_CHECKING:
    from collections.abc import Iterable

_TYPES = {
    stat.S_IFREG: b"0", stat.S_IFLNK: b"2", stat.S_IFCHR: b"3", stat.S_IFBLK: b"4", stat.S_IFDIR: b"5",
    stat.S_IFIFO: b"6",
}  # fmt: skip
END = bytes(1024)
_WHITEOUT = Fact(stat.S_IFREG, 0, (0, 0), b"", (), 0, (0, 0))


@dataclass(frozen=True)
class Member:
    """``name`` as the tar has it; everything else is as ``fact`` has it, but for what ``pax`` and ``owner`` say."""

    name: bytes
    fact: Fact | None = None
    link: bytes = b""
    pax: dict[bytes, bytes] = field(default_factory=dict)
    owner: tuple[bytes, bytes] = (b"", b"")
    time: int | None = None
    """What the header says, where a PAX record says better."""
    repeats: bool = True
    """Whether a link's header has its file's capabilities as well."""


def plan(names: Iterable[str | bytes], facts: Facts, directory: bytes) -> list[Member]:
    """``name`` is a path as ``facts`` have it, a whiteout, or ``name=target`` for a hard link; "" is ``directory``."""
    members = []
    for text in names:
        name = text.encode("utf-8", "surrogateescape") if isinstance(text, str) else text
        name, _, target = name.partition(b"=")
        path = _join(directory, name)
        if name.rpartition(b"/")[2].startswith(b".wh."):
            members.append(Member(path))
        else:
            members.append(Member(path, facts.get(path) or facts[_join(directory, target)],
                                  _join(directory, target) if target else b""))
    return members


def tar(members: Iterable[Member], *, gnu: bool = False, trailing: int = 0) -> bytes:
    """``gnu``: long names in members of their own and large numbers in base 256, as GNU tar writes them by itself."""
    return b"".join(_write(member, gnu) for member in members) + END + bytes(trailing)


def _write(member: Member, gnu: bool) -> bytes:
    fact = member.fact or _WHITEOUT
    is_file = fact.kind == stat.S_IFREG and not member.link
    content = fact.what if is_file else b""
    target = member.link or (fact.what if fact.kind == stat.S_IFLNK else b"")
    assert isinstance(content, bytes) and isinstance(target, bytes)
    kind = b"1" if member.link else _TYPES[fact.kind]
    name = member.name + b"/" if kind == b"5" else member.name
    records = dict(member.pax)
    if not member.link or member.repeats:
        records |= {b"SCHILY.xattr." + key.encode(): value for key, value in fact.xattrs
                    if not member.link or key == "security.capability"}  # fmt: skip
    time = fact.mtime if member.time is None else member.time
    before = b""
    if gnu:
        before += b"".join(_long(typeflag, value) for typeflag, value in ((b"K", target), (b"L", name))
                           if len(value) > 100)  # fmt: skip
    else:
        records |= {key: value for key, value, is_long in (
            (b"path", name, len(name) > 100), (b"linkpath", target, len(target) > 100),
            (b"uid", b"%d" % fact.owner[0], fact.owner[0] >= 1 << 21),
            (b"gid", b"%d" % fact.owner[1], fact.owner[1] >= 1 << 21),
            (b"mtime", b"%d" % time, not 0 <= time < 1 << 33),
        ) if is_long}  # fmt: skip
    if records:
        body = b"".join(_record(key, value) for key, value in records.items())
        before += _header(b"pax", b"x", 0o644, (0, 0), len(body), 0) + _padded(body)
    device = fact.what if fact.kind in (stat.S_IFCHR, stat.S_IFBLK) and isinstance(fact.what, int) else None
    head = _header(name, kind, fact.mode, fact.owner, len(content), time, target, device, member.owner, gnu)
    return before + head + _padded(content)


def _long(typeflag: bytes, value: bytes) -> bytes:
    return _header(b"././@LongLink", typeflag, 0, (0, 0), len(value) + 1, 0, gnu=True) + _padded(value + b"\0")


def _record(key: bytes, value: bytes) -> bytes:
    length = len(key) + len(value) + 3
    while len(b"%d %b=%b\n" % (length, key, value)) != length:
        length += 1
    return b"%d %b=%b\n" % (length, key, value)


def _header(
    name: bytes, kind: bytes, mode: int, owner: tuple[int, int], size: int, time: int, target: bytes = b"",
    device: int | None = None, names: tuple[bytes, bytes] = (b"", b""), gnu: bool = False,
) -> bytes:  # fmt: skip
    major, minor = (0, 0) if device is None else (_major(device), _minor(device))
    parts = [
        name[:100].ljust(100, b"\0"), _number(mode, 8), _number(owner[0], 8, gnu), _number(owner[1], 8, gnu),
        _number(size, 12, gnu), _number(time, 12, gnu), b" " * 8, kind, target[:100].ljust(100, b"\0"),
        b"ustar  \0" if gnu else b"ustar\x0000", names[0].ljust(32, b"\0"), names[1].ljust(32, b"\0"),
        _number(major, 8), _number(minor, 8), bytes(167),
    ]  # fmt: skip
    block = b"".join(parts)
    return block[:148] + b"%06o\0 " % sum(block) + block[156:]


def _number(value: int, width: int, gnu: bool = False) -> bytes:
    if 0 <= value < 8 ** (width - 1):
        return b"%0*o\0" % (width - 1, value)
    if gnu:
        return (value + (1 << 8 * width if value < 0 else 1 << 8 * width - 1)).to_bytes(width, "big")
    return b"0" * (width - 1) + b"\0"  # a PAX record says it


def _major(device: int) -> int:
    return device >> 8 & 0xFFF


def _minor(device: int) -> int:
    return device & 0xFF | device >> 12 & 0xFFF00


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 512)


def _join(directory: bytes, name: bytes) -> bytes:
    return directory + b"/" + name if directory and name else directory or name
