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

    None where something else than a directory is in its place. ChangesetError for links that form a circle.
    """
    found = place_of(path, tree)
    node = tree.node(found) if found else None
    return found if node is None or node.kind is Kind.DIRECTORY else None


def place_of(path: bytes, tree: Tree) -> bytes | None:
    """Where ``path`` is once every link in it is followed, the last part too; it need not be there yet.

    None where something on the way is not a directory. ChangesetError for links that form a circle.
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
                    raise ChangesetError(f"the symbolic links at {shown(path)} form a circle",
                                         hint="Name a path without them, or correct the links in a step.")
                followed += 1
                ahead += node.target.split(b"/")[::-1]
                current = b"" if node.target.startswith(b"/") else current
            elif node is None or node.kind is Kind.DIRECTORY or not ahead:
                current = here
            else:
                return None
    return current


@dataclass(frozen=True, slots=True)
class ResolvedGlob:
    """``pattern`` as it is to be matched; ``links`` are the symbolic links that were gone through to come to it."""

    pattern: str
    links: tuple[bytes, ...] = ()


def resolved_globs(pattern: str, tree: Tree) -> list[ResolvedGlob]:
    """Where a glob's matches really are: ``/lib/modules/*`` is ``/usr/lib/modules/*`` as well where /lib leads there.

    As in a shell, every part but the last goes through links to directories, ``**`` goes through none, and the last
    part names a link itself, unless a slash follows it. A part with wildcards stands for all that it matches. The first
    way is the pattern itself; each link that it meets has a way of its own.
    """
    parts = parts_of(pattern)
    if parts and pattern.endswith("/") and parts[-1] != b"**":
        parts.append(b".")
    found: list[ResolvedGlob] = []
    pending = [_Walk(b"", tuple(_Part(part, is_wild(part)) for part in reversed(parts)), is_new=True)]
    while pending:
        walk = pending.pop()
        if walk.is_new and not walk.is_in_target:
            found.append(walk.way())
            walk = walk._replace(is_new=False)
        if len(walk.ahead) > 1 and (walk.is_in_target or walk.ahead[-1].text != b"**"):
            pending += walk.onward(tree)
    return sorted(found, key=lambda way: (way.links, way.pattern))


class _Part(NamedTuple):
    """``is_wild`` None is a part of a link's target, which is a name whatever is in it."""

    text: bytes
    is_wild: bool | None


class _Walk(NamedTuple):
    """A pattern of which a part was gone: to the directory ``at``. ``ahead`` is the rest, the next part last.

    ``is_new`` says that it went through a link since a way was found.
    """

    at: bytes
    ahead: tuple[_Part, ...]
    links: tuple[bytes, ...] = ()
    is_new: bool = False

    @property
    def is_in_target(self) -> bool:
        return bool(self.ahead) and self.ahead[-1].is_wild is None

    def way(self) -> ResolvedGlob:
        parts = [part.text for part in reversed(self.ahead) if part.text != b"."]
        return ResolvedGlob(os.fsdecode(b"/" + b"/".join([*filter(None, [escaped(self.at)]), *parts])), self.links)

    def onward(self, tree: Tree) -> Iterator[_Walk]:
        """The same, farther by one part: to each directory that it names, and into each link."""
        part, rest = self.ahead[-1], self._replace(ahead=self.ahead[:-1])
        if not part.is_wild:
            yield from rest._into(part.text, tree)
        else:
            is_like = re.compile(component(part.text), re.DOTALL).fullmatch
            for name in filter(is_like, tree.names(self.at)):
                yield from rest._into(name, tree)

    def _into(self, name: bytes, tree: Tree) -> Iterator[_Walk]:
        if name in (b"", b"."):
            yield self
            return
        if name == b"..":
            yield self._replace(at=parent(self.at))
            return
        here = _join(self.at, name)
        node = tree.node(here)
        if node is not None and node.kind is Kind.SYMLINK:
            if len(self.links) < _MOST:
                target = tuple(_Part(part, None) for part in reversed(node.target.split(b"/")))
                at = b"" if node.target.startswith(b"/") else self.at
                yield _Walk(at, (*self.ahead, *target), (*self.links, here), is_new=True)
        elif node is None or node.kind is Kind.DIRECTORY:  # what is gone may be named, too
            yield self._replace(at=here)


def _join(directory: bytes, name: bytes) -> bytes:
    return directory + b"/" + name if directory else name
