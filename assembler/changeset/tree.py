"""A rootfs as a tree of nodes, wherever its files are.

Two trees are compared to make a changeset: the base and what the container made of it. Each may lie on disk as overlay
directories (``overlay_tree.py``) or have come out of a tar stream (``tar_tree.py``); the comparison does not know.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from assembler.model.node import Kind, Node

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from assembler.model.node import Content


LARGE: Final = 1 << 20
"""Bytes. Holes in smaller files are not worth a word (trap 17)."""


@dataclass(frozen=True, slots=True, order=True)
class PathFinding:
    """Something about ``path`` that a layer can't carry, or that its user should know.

    ``of_content`` says that it matters only where the layer holds the file's bytes.
    """

    path: bytes
    what: str
    of_content: bool = False


class Tree(ABC):
    """Nodes by path; symlinks are never followed. Lookups of paths that are not there give None."""

    @abstractmethod
    def node(self, path: bytes) -> Node | None: ...

    @abstractmethod
    def names(self, path: bytes) -> Iterable[bytes]:
        """Base names in the directory ``path``; nothing when it is not a directory."""

    @abstractmethod
    def peers(self, path: bytes) -> frozenset[bytes]:
        """All paths that are hard links of one inode, ``path`` among them."""

    @abstractmethod
    def content(self, path: bytes) -> Content | None:
        """Where a regular file's bytes are; None when only their digest was kept."""

    @abstractmethod
    def digest(self, path: bytes) -> bytes:
        """sha256 of a regular file's bytes, 32 bytes."""

    def prepare(self, paths: Iterable[bytes]) -> None:  # noqa: B027  # most trees need no preparation
        """Told once, before ``content`` is asked for: the regular files whose bytes a layer will hold."""

    def findings(self) -> frozenset[PathFinding]:
        """What had to be left out of the nodes that were looked at so far."""
        return frozenset()

    def walk(self, path: bytes = b"") -> Iterator[bytes]:
        """Every path below the directory ``path``, parents before their children, siblings in no order."""
        pending = [path]
        while pending:
            directory = pending.pop()
            prefix = directory + b"/" if directory else b""
            for name in self.names(directory):
                child = prefix + name
                yield child
                node = self.node(child)
                if node is not None and node.kind is Kind.DIRECTORY:
                    pending.append(child)


class EmptyTree(Tree):
    """What ``onto = "scratch"`` stacks on: a root directory as every engine makes it, and nothing in it."""

    def node(self, path: bytes) -> Node | None:
        return None if path else Node(Kind.DIRECTORY, 0o755)

    def names(self, path: bytes) -> Iterable[bytes]:
        return ()

    def peers(self, path: bytes) -> frozenset[bytes]:
        return frozenset()

    def content(self, path: bytes) -> Content | None:
        return None

    def digest(self, path: bytes) -> bytes:
        raise KeyError(path)


def same_content(path: bytes, one: Tree, other_path: bytes, other: Tree) -> bool:
    """Whether two regular files of equal size hold the same bytes; stops reading at the first difference."""
    here, there = one.content(path), other.content(other_path)
    if here is None or there is None:
        return one.digest(path) == other.digest(other_path)
    left = node.size if (node := one.node(path)) else 0
    with open(here.file, "rb", 0) as a, open(there.file, "rb", 0) as b:
        a.seek(here.offset)
        b.seek(there.offset)
        while left:
            size = min(left, 1 << 20)
            chunk = a.read(size)
            if not chunk or chunk != b.read(len(chunk)):
                return False
            left -= len(chunk)
    return True


def file_digest(content: Content, size: int) -> bytes:
    """sha256 over ``size`` bytes."""
    digest = hashlib.sha256()
    with open(content.file, "rb", 0) as file:
        file.seek(content.offset)
        while size and (chunk := file.read(min(size, 1 << 20))):
            digest.update(chunk)
            size -= len(chunk)
    return digest.digest()


def parent(path: bytes) -> bytes:
    return path.rpartition(b"/")[0]


def ancestors(path: bytes) -> Iterator[bytes]:
    """Every directory above ``path`` but the root, the outermost first."""
    slash = path.find(b"/")
    while slash >= 0:
        yield path[:slash]
        slash = path.find(b"/", slash + 1)
