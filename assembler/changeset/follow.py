"""Symbolic links inside a tree, as a process that is chrooted there would follow them (path_resolution(7))."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from assembler.changeset.tree import parent
from assembler.errors import ChangesetError
from assembler.model.node import Kind, shown

if TYPE_CHECKING:
    from assembler.changeset.tree import Tree

_MOST: Final = 40
"""As many links as Linux follows on the way of one path."""


def directory_at(path: bytes, tree: Tree) -> bytes | None:
    """Where the directory ``path`` is once every link in it is followed; it need not be there yet.

    None where something else than a directory is in its place. ChangesetError for links that lead in a circle.
    """
    current, followed = b"", 0
    ahead = path.split(b"/")[::-1]
    while ahead:
        part = ahead.pop()
        if part == b"..":
            current = parent(current)
        elif part not in (b"", b"."):
            here = current + b"/" + part if current else part
            node = tree.node(here)
            if node is None or node.kind is Kind.DIRECTORY:
                current = here
            elif node.kind is not Kind.SYMLINK:
                return None
            elif followed == _MOST:
                raise ChangesetError(
                    f"the symbolic links at {shown(path)} in the image below lead in a circle",
                    hint="Keep nothing below that path, or stack onto another image.",
                )
            else:
                followed += 1
                ahead += node.target.split(b"/")[::-1]
                current = b"" if node.target.startswith(b"/") else current
    return current
