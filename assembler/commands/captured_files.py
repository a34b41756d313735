"""A container's files, and an image's as its new layer will make them, for verdicts on kernel modules."""

from __future__ import annotations

from typing import TYPE_CHECKING

from assembler.kernel.file_tree import FileTree, mapped
from assembler.model.node import Content, Kind

if TYPE_CHECKING:
    from collections.abc import Iterable

    from assembler.changeset.tree import Tree
    from assembler.layer.entry import Entry
    from assembler.model.node import Node


class CapturedFiles(FileTree):
    """Those of a container or of the image below, as far as their bytes are here."""

    def __init__(self, tree: Tree) -> None:
        self._tree = tree

    def fetch(self, paths: Iterable[bytes]) -> None:
        """Gets the bytes of those that are files, all in one go: each go may read a whole rootfs."""
        found = {place for path in paths if (place := self.resolve(path)) is not None and self.is_file(place)}
        if lacking := [path for path in found if self._content(path) is None]:
            self._tree.prepare(lacking)

    def _content(self, path: bytes) -> Content | None:
        node = self._tree.node(path)
        return self._tree.content(path) if node is not None and node.size else Content(b"")

    def target(self, path: bytes) -> bytes | None:
        node = self._tree.node(path)
        return node.target if node is not None and node.kind is Kind.SYMLINK else None

    def children(self, path: bytes) -> Iterable[bytes]:
        return self._tree.names(path)

    def is_file(self, path: bytes) -> bool:
        node = self._tree.node(path)
        return node is not None and node.kind is Kind.REGULAR

    def data(self, path: bytes) -> memoryview | None:
        node = self._tree.node(path)
        if node is None or node.kind is not Kind.REGULAR:
            return None
        return _bytes(node, self._tree.content(path) if node.size else None)


class WithLayer(FileTree):
    """What ``entries``, a layer's, make of the files ``below``."""

    def __init__(self, entries: Iterable[Entry], below: FileTree) -> None:
        self._below = below
        self._own = {entry.path: entry for entry in entries}
        self._names: dict[bytes, set[bytes]] = {}
        for path in self._own:
            parent, _, name = path.rpartition(b"/")
            self._names.setdefault(parent, set()).add(name)

    def target(self, path: bytes) -> bytes | None:
        entry = self._own.get(path)
        if entry is not None:
            return entry.node.target if entry.node is not None and entry.node.kind is Kind.SYMLINK else None
        return None if self._hides(path) else self._below.target(path)

    def children(self, path: bytes) -> Iterable[bytes]:
        below = () if self._hides(path) else self._below.children(path)
        prefix = path + b"/" if path else b""
        gone = {name for name in self._names.get(path, ()) if self._own[prefix + name].node is None}
        return ({*below} | self._names.get(path, set())) - gone

    def is_file(self, path: bytes) -> bool:
        entry = self._own.get(path)
        if entry is not None:
            return entry.node is not None and entry.node.kind is Kind.REGULAR
        return not self._hides(path) and self._below.is_file(path)

    def data(self, path: bytes) -> memoryview | None:
        entry = self._own.get(path)
        if entry is None:
            return None if self._hides(path) else self._below.data(path)
        if entry.node is None or entry.node.kind is not Kind.REGULAR:
            return None
        return _bytes(entry.node, self._own[entry.link].content if entry.link is not None else entry.content)

    def _hides(self, path: bytes) -> bool:
        """Whether the layer removes ``path`` or a directory above it, or has something else in its place."""
        while path:
            entry = self._own.get(path)
            if entry is not None and (entry.node is None or entry.node.kind is not Kind.DIRECTORY):
                return True
            path = path.rpartition(b"/")[0]
        return False


def _bytes(node: Node, content: Content | None) -> memoryview | None:
    if not node.size:
        return memoryview(b"")
    return mapped(content.file, content.offset, node.size) if content is not None else None
