"""What is in a tree on disk: the facts that a layer must carry, and nothing that it can't. Knows nothing of imgasm."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_CARRIED = ("security.capability", "system.posix_acl_access", "system.posix_acl_default")


@dataclass(frozen=True, slots=True)
class Fact:
    """``what`` is a regular file's bytes, a symlink's target, or a device's number; ``inode`` groups hard links."""

    kind: int
    mode: int
    owner: tuple[int, int]
    what: object
    xattrs: tuple[tuple[str, bytes], ...]
    mtime: int
    inode: tuple[int, int]

    @property
    def is_directory(self) -> bool:
        return self.kind == stat.S_IFDIR

    @property
    def itself(self) -> tuple[object, ...]:
        """Everything but its time and its other names."""
        return self.kind, self.mode, self.owner, self.what, self.xattrs


Facts = dict[bytes, Fact]


def look(root: Path) -> Facts:
    """Every path below ``root`` but sockets, which tar can't hold. The root itself is not told of."""
    facts: Facts = {}
    pending = [(os.fsencode(root), b"")]
    while pending:
        directory, prefix = pending.pop()
        with os.scandir(directory) as entries:
            for entry in entries:
                status = entry.stat(follow_symlinks=False)
                if not stat.S_ISSOCK(status.st_mode):
                    facts[prefix + entry.name] = _fact(entry.path, status)
                if stat.S_ISDIR(status.st_mode):
                    pending.append((entry.path, prefix + entry.name + b"/"))
    return facts


def _fact(file: bytes, status: os.stat_result) -> Fact:
    kind = stat.S_IFMT(status.st_mode)
    return Fact(
        kind, stat.S_IMODE(status.st_mode), (status.st_uid, status.st_gid), _what(file, kind, status),
        _xattrs(file), status.st_mtime_ns // 10**9, (status.st_dev, status.st_ino),
    )  # fmt: skip


def _what(file: bytes, kind: int, status: os.stat_result) -> object:
    if kind == stat.S_IFREG:
        with open(file, "rb") as stream:
            return stream.read()
    if kind == stat.S_IFLNK:
        return os.readlink(file)
    return status.st_rdev if kind in (stat.S_IFCHR, stat.S_IFBLK) else None


def _xattrs(file: bytes) -> tuple[tuple[str, bytes], ...]:
    names = os.listxattr(file, follow_symlinks=False)
    kept = (name for name in sorted(names) if name in _CARRIED or name.startswith("user."))
    found = ((name, os.getxattr(file, name, follow_symlinks=False)) for name in kept)
    return tuple(
        (name, value) for name, value in found if value and "=" not in name and not name.startswith("user.overlay.")
    )


def groups(facts: Facts) -> frozenset[frozenset[bytes]]:
    """The sets of paths that are one inode, as far as there is more than one path."""
    found: dict[tuple[int, int], list[bytes]] = {}
    for path, fact in facts.items():
        if not fact.is_directory:
            found.setdefault(fact.inode, []).append(path)
    return frozenset(frozenset(paths) for paths in found.values() if len(paths) > 1)
