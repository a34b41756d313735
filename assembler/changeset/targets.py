"""Where a path of the container goes in the image below: the same path, but through that image's symlinks (trap 9)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from assembler.changeset.tree import parent, shown
from assembler.errors import ChangesetError
from assembler.model.node import Kind, Node

if TYPE_CHECKING:
    from collections.abc import Mapping

    from assembler.changeset.tree import Tree

_SYMLINK_LIMIT: Final = 40
"""As many as Linux follows in one path (path_resolution(7))."""


class Targets:
    """``foreign`` says that ``onto`` is not what the container started from; otherwise every path is its own target."""

    def __init__(self, final: Tree, onto: Tree, *, foreign: bool) -> None:
        self._final = final
        self._onto = onto
        self._directories: dict[bytes, bytes] | None = {b"": b""} if foreign else None
        self._sources: dict[bytes, bytes] = {}
        self.moved: dict[bytes, bytes] = {}
        """Directories that had to be written elsewhere."""

    def all(self, wishes: Mapping[bytes, Node | None]) -> Mapping[bytes, Node | None]:
        """``wishes`` by their targets. Two files for one target are a ChangesetError."""
        if self._directories is None:
            return wishes
        wanted: dict[bytes, Node | None] = {}
        for path in sorted(wishes):
            target, node = self.of(path), wishes[path]
            if wanted.get(target) is None:
                wanted[target] = node
                self._sources[target] = path
            elif node is not None and not _both_directories(node, wanted[target]):
                raise ChangesetError(
                    f"{shown(self.source_of(target))} and {shown(path)} are two files in the container, but the image"
                    f" below has only one place for them: {shown(target)}",
                    hint="Prune one of them, or keep only what the image needs.",
                )
        return wanted

    def of(self, path: bytes) -> bytes:
        if self._directories is None:
            return path
        node = self._final.node(path)
        if node is not None and node.kind is Kind.DIRECTORY:
            return self._directory(path)
        directory = self._directory(parent(path))
        name = path.rpartition(b"/")[2]
        return directory + b"/" + name if directory else name

    def source_of(self, target: bytes) -> bytes:
        return self._sources.get(target, target)

    def _directory(self, path: bytes) -> bytes:
        assert self._directories is not None
        if path not in self._directories:
            above = self._directory(parent(path))
            name = path.rpartition(b"/")[2]
            target = self._resolve(above + b"/" + name if above else name)
            self._directories[path] = target
            self._sources.setdefault(target, path)
            if target.rpartition(b"/")[2] != name or parent(target) != above:
                self.moved[path] = target
        return self._directories[path]

    def _resolve(self, path: bytes, depth: int = 0) -> bytes:
        """Follows ``onto``'s symlinks for the last component of ``path``, inside its root like a chroot would."""
        node = self._onto.node(path)
        if node is None or node.kind is not Kind.SYMLINK or depth > _SYMLINK_LIMIT:
            return path
        current = b"" if node.target.startswith(b"/") else parent(path)
        for part in node.target.split(b"/"):
            if part in (b"", b"."):
                continue
            if part == b"..":
                current = parent(current)
            else:
                current = self._resolve(current + b"/" + part if current else part, depth + 1)
        return current


def _both_directories(node: Node, other: Node | None) -> bool:
    return other is not None and node.kind is Kind.DIRECTORY and other.kind is Kind.DIRECTORY
