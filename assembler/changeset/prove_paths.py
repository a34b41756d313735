"""Where a path of the container lies in the image below, as the proof finds it out.

``paths_below.py`` finds it for the changeset. The two share nothing, not even how they follow links, so that a mistake
in the one is not made twice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from assembler.changeset.tree import ancestors, parent
from assembler.model.node import Kind

if TYPE_CHECKING:
    from assembler.changeset.tree import Tree

_SYMLINK_LIMIT: Final = 40


class Places:
    """Where a path of the container lies in the image below: directories go through that image's symlinks (trap 9)."""

    def __init__(self, final: Tree, onto: Tree, *, foreign: bool) -> None:
        self.final, self.onto, self._foreign = final, onto, foreign
        self._known: dict[bytes, bytes] = {b"": b""}
        self.sources: dict[bytes, bytes] = {}
        """For the place of each directory that was asked for, where the container has it."""

    def of(self, path: bytes) -> bytes:
        if not self._foreign:
            return path
        node = self.final.node(path)
        if node is not None and node.kind is Kind.DIRECTORY:
            return self._directory(path)
        return joined(self._directory(parent(path)), path.rpartition(b"/")[2])

    def _directory(self, path: bytes) -> bytes:
        for directory in (*ancestors(path), path):
            if directory not in self._known:
                here = joined(self._known[parent(directory)], directory.rpartition(b"/")[2])
                place = self._follow(here)
                # A link to something else than a directory can't be gone through: it is replaced.
                self._known[directory] = place if self._can_be_directory(place) else here
                self.sources.setdefault(self._known[directory], directory)
        return self._known[path]

    def _can_be_directory(self, place: bytes) -> bool:
        nodes = map(self.onto.node, (*ancestors(place), place) if place else ())
        return all(node is None or node.kind is Kind.DIRECTORY for node in nodes)

    def _follow(self, path: bytes) -> bytes:
        """As path_resolution(7) has it, inside the image's root; parts that are not there stay as they are."""
        current, followed = b"", 0
        ahead = path.split(b"/")[::-1]
        while ahead:
            part = ahead.pop()
            if part == b"..":
                current = parent(current)
            elif part not in (b"", b"."):
                here = joined(current, part)
                node = self.onto.node(here)
                if node is None or node.kind is not Kind.SYMLINK or followed >= _SYMLINK_LIMIT:
                    current = here
                    continue
                followed += 1
                ahead += node.target.split(b"/")[::-1]
                current = b"" if node.target.startswith(b"/") else current
        return current


def joined(directory: bytes, name: bytes) -> bytes:
    return directory + b"/" + name if directory else name
