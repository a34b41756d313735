"""An initramfs: the archive that a booted kernel unpacks to be its root file system (cpio(5), "new ASCII format")."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from typing import BinaryIO

_TRAILER: Final = b"TRAILER!!!"


class Initramfs:
    """Written member by member into ``sink``. Paths are relative; directories above one are made with it."""

    def __init__(self, sink: BinaryIO) -> None:
        self._sink = sink
        self._serial = 0
        self._directories: set[bytes] = {b""}

    def directory(self, path: bytes, mode: int = 0o755) -> None:
        self._parents(path)
        if path not in self._directories:
            self._directories.add(path)
            self._member(path, stat.S_IFDIR | mode)

    def file(self, path: bytes, data: bytes | memoryview, mode: int = 0o644) -> None:
        self._parents(path)
        self._member(path, stat.S_IFREG | mode, data)

    def symlink(self, path: bytes, target: bytes) -> None:
        self._parents(path)
        self._member(path, stat.S_IFLNK | 0o777, target)

    def end(self) -> None:
        self._member(_TRAILER, 0)

    def _parents(self, path: bytes) -> None:
        parent = path.rpartition(b"/")[0]
        if parent not in self._directories:
            self.directory(parent)

    def _member(self, path: bytes, mode: int, data: bytes | memoryview = b"") -> None:
        """Of root, without a date, with one link: c_ino, mode, uid, gid, nlink, mtime, size, four numbers of devices,
        length of the name, checksum."""
        self._serial += 1
        fields = (self._serial, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(path) + 1, 0)
        self._padded(b"070701" + b"".join(b"%08X" % field for field in fields) + path + b"\0")
        self._padded(data)

    def _padded(self, data: bytes | memoryview) -> None:
        self._sink.write(data)
        self._sink.write(bytes(-len(data) % 4))
