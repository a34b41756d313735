"""A tree on disk as an engine's export stream: everything in one tar, hard links told by inode, sockets left out."""

from __future__ import annotations

import io
import os
import stat
import tarfile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_TYPES = {
    stat.S_IFREG: tarfile.REGTYPE, stat.S_IFDIR: tarfile.DIRTYPE, stat.S_IFLNK: tarfile.SYMTYPE,
    stat.S_IFIFO: tarfile.FIFOTYPE, stat.S_IFCHR: tarfile.CHRTYPE, stat.S_IFBLK: tarfile.BLKTYPE,
}


def export(root: Path) -> bytes:
    """The tar of everything below ``root``, with every extended attribute."""
    stream = io.BytesIO()
    names: dict[tuple[int, int], str] = {}
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT, encoding="utf-8",
                      errors="surrogateescape") as tar:
        for file, path in _walk(os.fsencode(root), b""):
            status = os.lstat(file)
            if not stat.S_ISSOCK(status.st_mode):
                _add(tar, file, os.fsdecode(path), status, names)
    return stream.getvalue()


def as_docker_has_it(tar: bytes) -> bytes:
    """The same export as Docker really writes it: of all extended attributes only file capabilities are there."""
    stream = io.BytesIO()
    with (
        tarfile.open(fileobj=io.BytesIO(tar), encoding="utf-8", errors="surrogateescape") as whole,
        tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT, encoding="utf-8",
                     errors="surrogateescape") as bare,
    ):  # fmt: skip
        for member in whole:
            member.pax_headers = {key: value for key, value in member.pax_headers.items()
                                  if not key.startswith("SCHILY.xattr.") or key == "SCHILY.xattr.security.capability"}
            bare.addfile(member, whole.extractfile(member) if member.isreg() else None)
    return stream.getvalue()


def _walk(directory: bytes, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
    for name in os.listdir(directory):
        file = os.path.join(directory, name)
        yield file, prefix + name
        if stat.S_ISDIR(os.lstat(file).st_mode):
            yield from _walk(file, prefix + name + b"/")


def _add(
    tar: tarfile.TarFile, file: bytes, path: str, status: os.stat_result, names: dict[tuple[int, int], str]
) -> None:
    member = tarfile.TarInfo(path)
    member.type = _TYPES[stat.S_IFMT(status.st_mode)]
    member.mode, member.uid, member.gid = stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid
    member.mtime = status.st_mtime_ns // 10**9
    first = path if stat.S_ISDIR(status.st_mode) else names.setdefault((status.st_dev, status.st_ino), path)
    if first != path:
        member.type, member.linkname = tarfile.LNKTYPE, first
        tar.addfile(member)
        return
    member.pax_headers = {
        "SCHILY.xattr." + name: os.getxattr(file, name, follow_symlinks=False).decode("utf-8", "surrogateescape")
        for name in os.listxattr(file, follow_symlinks=False) if "=" not in name  # which no tar can hold
    }
    if member.issym():
        member.linkname = os.fsdecode(os.readlink(file))
    if member.ischr() or member.isblk():
        member.devmajor, member.devminor = os.major(status.st_rdev), os.minor(status.st_rdev)
    if not member.isreg():
        tar.addfile(member)
        return
    member.size = status.st_size
    with open(file, "rb") as content:
        tar.addfile(member, content)
