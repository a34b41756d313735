"""Symbolic links inside a tree, as a process that is chrooted there would follow them (path_resolution(7), glob(7))."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from assembler.changeset.tree import parent
from assembler.errors import ChangesetError
from assembler.model.globs import component, escaped, is_wild, parts_of
from assembler.model.node import Kind, shown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from assembler.changeset.tree import Tree

_MOST: Final = 40
"""As many links as Linux follows on the way of one path."""


def directory_at(path: bytes, tree: Tree) -> bytes | None:
    """Where the directory ``path`` is once every link in it is followed; it need not be there yet.

    None where something else than a directory is in its place. ChangesetError for links that lead in a circle.
    """
    found = place_of(path, tree)
    node = tree.node(found) if found else None
    return found if node is None or node.kind is Kind.DIRECTORY else None


def place_of(path: bytes, tree: Tree) -> bytes | None:
    """Where ``path`` is once every link in it is followed, the last part too; it need not be there yet.

    None where something on the way is no directory. ChangesetError for links that lead in a circle.
    """
    current, followed = b"", 0
    ahead = path.split(b"/")[::-1]
    while ahead:
        part = ahead.pop()
        if part == b"..":
            current = parent(current)
        elif part not in (b"", b"."):
            here = _join(current, part)
            node = tree.node(here)
            if node is not None and node.kind is Kind.SYMLINK:
                if followed == _MOST:
                    raise ChangesetError(f"the symbolic links at {shown(path)} lead in a circle",
                                         hint="Name a path without them, or let a step put the links right.")
                followed += 1
                ahead += node.target.split(b"/")[::-1]
                current = b"" if node.target.startswith(b"/") else current
            elif node is None or node.kind is Kind.DIRECTORY or not ahead:
                current = here
            else:
                return None
    return current


@dataclass(frozen=True, slots=True)
class Way:
    """``pattern`` goes through no symbolic link; ``links`` are those that the pattern it stands for goes through."""

    pattern: str
    links: tuple[bytes, ...] = ()


def ways(pattern: str, tree: Tree) -> list[Way]:
    """Where a glob's matches really are: ``/lib/modules/*`` is ``/usr/lib/modules/*`` where /lib is a link to there.

    As in a shell, every part but the last goes through links to directories, ``**`` goes through none, and the last
    part names a link itself, unless a slash follows it. A part with wildcards stands for all that it matches: the first
    way is for what is no link, and each link that it matches has a way of its own.
    """
    parts = parts_of(pattern)
    if parts and pattern.endswith("/") and parts[-1] != b"**":
        parts.append(b".")
    found: list[Way] = []
    pending = [_Walk(b"", tuple(_Part(part, is_wild(part)) for part in reversed(parts)))]
    while pending:
        walk = pending.pop()
        if len(walk.ahead) > 1 and not walk.ahead[-1].is_wild:
            pending += walk.through(walk.ahead[-1].text, tree, found)
            continue
        if not walk.is_covered:
            found.append(walk.way())
        if len(walk.ahead) > 1 and walk.ahead[-1].text != b"**":
            covered, name = walk._replace(is_covered=True), re.compile(component(walk.ahead[-1].text), re.DOTALL)
            for match in filter(name.fullmatch, tree.names(walk.at)):
                pending += covered.through(match, tree, found)
    return sorted(found, key=lambda way: (way.links, way.pattern))


class _Part(NamedTuple):
    text: bytes
    is_wild: bool


class _Walk(NamedTuple):
    """A pattern of which a part was gone: to the directory ``at``. ``ahead`` is the rest, the next part last.

    ``is_covered`` says that a way was found already that stands for this one, too, as long as it meets no link.
    """

    at: bytes
    ahead: tuple[_Part, ...]
    links: tuple[bytes, ...] = ()
    is_covered: bool = False
    followed: int = 0

    def way(self) -> Way:
        parts = [part.text for part in reversed(self.ahead) if part.text != b"."]
        return Way(os.fsdecode(b"/" + b"/".join([*filter(None, [escaped(self.at)]), *parts])), self.links)

    def through(self, name: bytes, tree: Tree, found: list[Way]) -> Iterator[_Walk]:
        """The same walk, farther by one name."""
        here, ahead = _join(self.at, name), self.ahead[:-1]
        if name in (b"", b"."):
            yield self._replace(ahead=ahead)
            return
        if name == b"..":
            yield self._replace(at=parent(self.at), ahead=ahead)
            return
        node = tree.node(here)
        if node is None or node.kind is Kind.DIRECTORY:
            if node is not None or not self.is_covered:
                yield self._replace(at=here, ahead=ahead)
        elif node.kind is Kind.SYMLINK:
            if self.followed < _MOST:
                target = tuple(_Part(part, is_wild=False) for part in reversed(node.target.split(b"/")))
                yield _Walk(b"" if node.target.startswith(b"/") else self.at, (*ahead, *target),
                            (*self.links, here), is_covered=False, followed=self.followed + 1)
        elif not self.is_covered and not self.links:
            found.append(self.way())  # nothing can be in it, but in the base's directory of that name something may


def _join(directory: bytes, name: bytes) -> bytes:
    return directory + b"/" + name if directory else name
