"""The paths of layers as a tree: a deep path costs what its names take, not what all its prefixes would."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from assembler.errors import ImageError

_MOST_NAMES: Final = 2_000_000
_MOST_BYTES: Final = 256 << 20
"""Names that are remembered, and their bytes, over all layers of an image: of a path its last part alone, for what is
above it is remembered once. Far beyond real images; hostile ones are kept from the memory."""


@dataclass(slots=True, eq=False)
class PathNode:
    """``is_directory`` is None where only something below it was mentioned. ``holds`` says that something was before.

    ``is_opaque`` means an opaque whiteout in it.
    """

    is_directory: bool | None = None
    holds: bool = False
    is_opaque: bool = False
    children: dict[bytes, PathNode] = field(default_factory=dict)


@dataclass(slots=True)
class _Room:
    names: int = 0
    size: int = 0

    def take(self, size: int) -> None:
        self.names += 1
        self.size += size
        if self.names > _MOST_NAMES or self.size > _MOST_BYTES:
            raise ImageError(f"the image has more than {_MOST_NAMES} names, or names of more than {_MOST_BYTES} bytes",
                             hint="Check where it comes from; no real image is like that.")


class PathTree:
    """What the layers so far add up to. ``partial`` says that not all of them were read, so any path may be there."""

    def __init__(self, *, partial: bool = False) -> None:
        self._partial = partial
        self._root = PathNode(is_directory=True)
        self._room = _Room()

    def beside(self) -> PathTree:
        """An empty one that shares this one's limit, for the entries of one layer."""
        other = PathTree()
        other._root, other._room = PathNode(), self._room
        return other

    def __contains__(self, path: bytes) -> bool:
        found = self.find(path)
        return self._partial or (found is not None and (path != b"" or bool(found.children)))

    def find(self, path: bytes) -> PathNode | None:
        found: PathNode | None = self._root
        for name in path.split(b"/") if path else ():
            found = found.children.get(name) if found is not None else None
        return found

    def above(self, path: bytes) -> list[PathNode | None]:
        """The directories that ``path`` is in, the root first; None for those that are not there."""
        node: PathNode | None = self._root
        found = [node]
        for name in path.split(b"/")[:-1]:
            node = node.children.get(name) if node is not None else None
            found.append(node)
        return found

    def make(self, path: bytes) -> PathNode:
        """The node of ``path``, with all above it."""
        node = self._root
        for name in path.split(b"/") if path else ():
            node.holds = True
            child = node.children.get(name)
            if child is None:
                self._room.take(len(name))
                child = node.children[name] = PathNode()
            node = child
        return node

    def keep(self, *names: bytes) -> None:
        """Counts what is remembered elsewhere, too."""
        self._room.take(sum(map(len, names)))

    def remove(self, path: bytes) -> None:
        directory, _, name = path.rpartition(b"/")
        parent = self.find(directory)
        if parent is not None:
            parent.children.pop(name, None)

    def empty(self, path: bytes) -> None:
        found = self.find(path)
        if found is not None:
            found.children = {}

    def lay(self, layer: PathTree) -> None:
        """Takes over what ``layer`` has, which is no more good for anything else."""
        pending = [(self._root, layer._root)]
        while pending:
            lower, upper = pending.pop()
            for name, node in upper.children.items():
                there = lower.children.get(name)
                if there is None or there.is_directory is False or node.is_directory is False:
                    lower.children[name] = node
                else:
                    pending.append((there, node))

    def forget(self) -> None:
        """A layer could not be read whole: from now on nothing is known to be missing."""
        self._root = PathNode(is_directory=True)
        self._partial = True
