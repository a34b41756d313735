"""Files that tell of a kernel, wherever they are: in a directory, a package, a container."""

from __future__ import annotations

import mmap
import os
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

_MOST_LINKS: Final = 40
"""As many as Linux follows (path_resolution(7))."""


class FileTree(ABC):
    """Paths are relative to the tree's root. Symbolic links are followed, and absolute ones begin at that root."""

    @abstractmethod
    def target(self, path: bytes) -> bytes | None:
        """Where the symbolic link ``path`` leads; None for anything else. Nothing above it is a link."""

    @abstractmethod
    def children(self, path: bytes) -> Iterable[bytes]:
        """The names in the directory ``path``, whose parts are no links; nothing where it is none."""

    @abstractmethod
    def data(self, path: bytes) -> memoryview | None:
        """A regular file's bytes; None for anything else. No part of ``path`` is a link."""

    @abstractmethod
    def is_file(self, path: bytes) -> bool:
        """Whether there is a regular file at ``path``, no part of which is a link."""

    def names(self, directory: bytes) -> list[bytes]:
        found = self.resolve(directory)
        return sorted(self.children(found)) if found is not None else []

    def read(self, path: bytes) -> memoryview | None:
        found = self.resolve(path)
        return self.data(found) if found is not None else None

    def has_file(self, path: bytes) -> bool:
        found = self.resolve(path)
        return found is not None and self.is_file(found)

    def text(self, path: bytes) -> str | None:
        found = self.read(path)
        return None if found is None else bytes(found).decode("utf-8", "replace")

    def resolve(self, path: bytes) -> bytes | None:
        """The path without links; None where they go round in circles. What it names need not be there."""
        parts, done, links = path.split(b"/")[::-1], list[bytes](), 0
        while parts:
            part = parts.pop()
            if part in (b"", b"."):
                continue
            if part == b"..":
                del done[-1:]
                continue
            target = self.target(b"/".join([*done, part]))
            if target is None:
                done.append(part)
                continue
            links += 1
            if links > _MOST_LINKS:
                return None
            if target.startswith(b"/"):
                done.clear()
            parts += target.split(b"/")[::-1]
        return b"/".join(done)


class Directory(FileTree):
    """A directory of this machine's. What its user may not read is not there."""

    def __init__(self, root: str | os.PathLike[str]) -> None:
        self._root = os.fsencode(root)

    def target(self, path: bytes) -> bytes | None:
        try:
            return os.readlink(os.path.join(self._root, path))
        except OSError:
            return None

    def children(self, path: bytes) -> Iterable[bytes]:
        try:
            return os.listdir(os.path.join(self._root, path))
        except OSError:
            return ()

    def is_file(self, path: bytes) -> bool:
        return os.path.isfile(os.path.join(self._root, path))

    def data(self, path: bytes) -> memoryview | None:
        try:
            return mapped(os.path.join(self._root, path))
        except OSError:
            return None


def mapped(file: bytes | str, offset: int = 0, size: int | None = None) -> memoryview:
    """The bytes of a file, or some of them, as long as anybody looks at them; OSError as ``open`` has it."""
    with open(file, "rb") as stream:
        length = os.fstat(stream.fileno()).st_size if size is None else offset + size
        if not length:  # as files of /proc say, whatever is in them
            return memoryview(stream.read())
        try:
            return memoryview(mmap.mmap(stream.fileno(), length, access=mmap.ACCESS_READ))[offset:length]
        except OSError:  # /proc and /sys are not there to be mapped
            return memoryview(stream.read())
