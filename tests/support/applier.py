"""The reference: applies a layer's tar to a tree on disk, in the two ways that engines do it.

``in_place`` is umoci's and every vfs store's way: the tree below is changed. ``isolated`` is Docker's overlay2's and
containers-storage's: the layer is unpacked into an empty directory that an overlay then lays over the tree. It treats
each header as Docker and containerd do, a hard link's too: owner, mode and attributes are set once more. Both follow
image-spec layer.md ("Applying Changesets") and share nothing with imgasm: what they read, tarfile has read.
"""

from __future__ import annotations

import os
import shutil
import stat
import tarfile
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_XATTR = "SCHILY.xattr."
_DEVICES = {tarfile.CHRTYPE: stat.S_IFCHR, tarfile.BLKTYPE: stat.S_IFBLK, tarfile.FIFOTYPE: stat.S_IFIFO}
IMPLICIT_MODE = 0o755
"""A parent that the layer doesn't mention is made as root's, with this mode; so do Docker's overlay2 and podman's."""


class Refused(Exception):
    """No reader is obliged to take this layer."""


def in_place(layer: BinaryIO, root: Path) -> None:
    """An entry takes the place of what is there, unless both are directories; a whiteout sees lower layers only."""
    added: set[bytes] = set()
    tree = _Tree(os.fsencode(root))
    for member, path, content in _members(layer):
        hidden = _hidden(path)
        if hidden is None:
            tree.put(member, content, path)
            added.add(path)
        elif hidden in added or not os.path.lexists(tree.place(hidden)):
            raise Refused(f"a whiteout for {hidden!r}, which no lower layer has")
        else:
            _remove(tree.place(hidden))
    tree.set_directory_times()


def isolated(layer: BinaryIO, upper: Path) -> None:
    """``upper`` is an empty directory; whiteouts become the overlay's."""
    tree = _Tree(os.fsencode(upper), describes_links=True)
    for member, path, content in _members(layer):
        hidden = _hidden(path)
        if hidden is None:
            tree.put(member, content, path)
        else:
            os.mknod(tree.place(hidden), stat.S_IFCHR, 0)
    tree.set_directory_times()


def _hidden(path: bytes) -> bytes | None:
    directory, name = os.path.split(path)
    return os.path.join(directory, name[4:]) if name.startswith(b".wh.") else None


def _members(layer: BinaryIO) -> Iterator[tuple[tarfile.TarInfo, bytes, bytes]]:
    layer.seek(0)
    seen: set[bytes] = set()
    with tarfile.open(fileobj=layer, mode="r:", encoding="utf-8", errors="surrogateescape") as tar:
        for member in tar:
            path = os.fsencode(member.name)
            if path in seen or b".." in path.split(b"/") or path.startswith(b"/"):
                raise Refused(f"{path!r} is there twice, or leads out")
            seen.add(path)
            if os.path.basename(path) in (b".wh.", b".wh..", b".wh...") or path.endswith(b".wh..wh..opq"):
                raise Refused(f"{path!r} is a whiteout that imgasm must not write")
            stream = tar.extractfile(member) if member.isreg() else None
            yield member, path, stream.read() if stream else b""


class _Tree:
    """Where entries are put. The times of directories are set last, because every entry in them changes them."""

    def __init__(self, root: bytes, *, describes_links: bool = False) -> None:
        self._root = root
        self._describes_links = describes_links
        self._times: dict[bytes, int] = {}

    def place(self, path: bytes) -> bytes:
        """Where ``path`` is on disk; parents that are missing are made. No symlink is followed below the root."""
        above = self._root
        for part in path.split(b"/")[:-1]:
            above = os.path.join(above, part)
            if not os.path.lexists(above):
                os.mkdir(above)
                os.chmod(above, IMPLICIT_MODE)
                self._times[above] = 123_456_789  # any time: no entry says when
            if not stat.S_ISDIR(os.lstat(above).st_mode):
                raise Refused(f"{path!r} goes through something that is not a directory")
        return os.path.join(self._root, path)

    def put(self, member: tarfile.TarInfo, content: bytes, path: bytes) -> None:
        file = self.place(path)
        if os.path.lexists(file) and not (member.isdir() and stat.S_ISDIR(os.lstat(file).st_mode)):
            _remove(file)
        if member.islnk():
            os.link(os.path.join(self._root, os.fsencode(member.linkname)), file, follow_symlinks=False)
            if self._describes_links:
                _describe_link(member, file)
            return
        _make(member, content, file)
        _describe(member, file)
        if member.isdir():
            self._times[file] = int(member.mtime // 1)
        else:
            _set_time(file, int(member.mtime // 1))

    def set_directory_times(self) -> None:
        for file, seconds in self._times.items():
            _set_time(file, seconds)


def _make(member: tarfile.TarInfo, content: bytes, file: bytes) -> None:
    if member.isdir():
        os.makedirs(file, exist_ok=True)
    elif member.issym():
        os.symlink(os.fsencode(member.linkname), file)
    elif member.isreg():
        with open(file, "xb") as stream:
            stream.write(content)
    else:
        os.mknod(file, _DEVICES[member.type] | 0o600, os.makedev(member.devmajor, member.devminor))


def _remove(file: bytes) -> None:
    if stat.S_ISDIR(os.lstat(file).st_mode):
        shutil.rmtree(file)
    else:
        os.unlink(file)


def _describe_link(member: tarfile.TarInfo, file: bytes) -> None:
    """By the link's own header, which may lack what the file's has: a chown clears capabilities, and nothing else."""
    os.chown(file, member.uid, member.gid, follow_symlinks=False)
    if not stat.S_ISLNK(os.lstat(file).st_mode):
        os.chmod(file, member.mode)
    for name, value in _carried(member).items():
        os.setxattr(file, name, value, follow_symlinks=False)
    _set_time(file, int(member.mtime // 1))


def _describe(member: tarfile.TarInfo, file: bytes) -> None:
    os.chown(file, member.uid, member.gid, follow_symlinks=False)
    if not member.issym():
        os.chmod(file, member.mode)  # after chown, which clears setuid (trap 16)
    carried = _carried(member)
    for name in os.listxattr(file, follow_symlinks=False):
        if name not in carried and not name.startswith(("trusted.", "security.selinux")):
            os.removexattr(file, name, follow_symlinks=False)
    for name, value in carried.items():
        os.setxattr(file, name, value, follow_symlinks=False)


def _carried(member: tarfile.TarInfo) -> dict[str, bytes]:
    return {key[len(_XATTR) :]: value.encode("utf-8", "surrogateescape")
            for key, value in member.pax_headers.items() if key.startswith(_XATTR)}


def _set_time(file: bytes, seconds: int) -> None:
    os.utime(file, ns=(seconds * 10**9, seconds * 10**9), follow_symlinks=False)
