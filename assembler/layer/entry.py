"""One member of a layer's tar (image-spec layer.md, "Representing Changes")."""

from __future__ import annotations

from typing import NamedTuple

from assembler.model.node import Content, Node

WHITEOUT_PREFIX = b".wh."


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
