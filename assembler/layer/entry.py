"""One member of a layer's tar (image-spec layer.md, "Representing Changes")."""

from __future__ import annotations

from typing import NamedTuple

from assembler.model.node import Content, Node

WHITEOUT_PREFIX = b".wh."
OPAQUE = WHITEOUT_PREFIX + WHITEOUT_PREFIX + b".opq"


def hidden_by(path: bytes) -> tuple[bytes, bytes | None] | None:
    """For a whiteout's path the directory that it acts in and the name that it hides there, None for all of them.

    None for any other path (image-spec layer.md, "Whiteouts"). Code that applies layers asks here, and only
    the proof of a layer knows the rule by itself.
    """
    directory, _, name = path.rpartition(b"/")
    if not name.startswith(WHITEOUT_PREFIX):
        return None
    return directory, None if name == OPAQUE else name.removeprefix(WHITEOUT_PREFIX)


class Entry(NamedTuple):
    """An addition or modification (``node``), a further name of a file (``node`` and ``link``), or a removal (neither).

    ``path`` is the path that the entry is about, also for a removal: the ``.wh.`` prefix exists only in the tar.
    ``link`` is the path of an entry that stands earlier in the same layer (trap 11: a link to a lower layer's file
    fails in containers-storage and containerd).
    ``content`` is there exactly for regular files that have at least one byte and are no ``link``.
    """

    path: bytes
    node: Node | None
    link: bytes | None = None
    content: Content | None = None

    @property
    def tar_path(self) -> bytes:
        """The member's name: a removal is an empty file named ``.wh.<name>`` beside the removed path (trap 5)."""
        if self.node is not None:
            return self.path
        parent, slash, name = self.path.rpartition(b"/")
        return parent + slash + WHITEOUT_PREFIX + name
