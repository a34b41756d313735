"""The tree of an image whose layers were never read.

Little is known of it, and little needs to be: what an image keeps is written whole, with its directories as the
container has them. Only where distributions put a symlink must one look, because a directory there would replace it
(trap 9).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from assembler.changeset.tree import Tree
from assembler.model.node import Kind, Node

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from assembler.model.node import Content

LINKS: Final = frozenset({
    b"bin", b"sbin", b"lib", b"lib32", b"lib64", b"libo32", b"libx32", b"usr/sbin", b"usr/lib64", b"usr/tmp",
    b"var/run", b"var/lock",
})  # fmt: skip
"""Directories before the merge of /usr, and of /run; symlinks since (Debian 12, Ubuntu 20.04, Fedora 17 and 42, Arch).

Not those of images that boot (/opt and /usr/local, which lead to /var there): to look for them everywhere would cost
megabytes of every base. Such a base wants ``--inspect-base``.
"""

_ROOT: Final = Node(Kind.DIRECTORY, 0o755)


class UnpulledTree(Tree):
    """``look`` finds out what one of ``LINKS`` is; nothing else is ever looked at."""

    def __init__(self, look: Callable[[bytes], Node | None]) -> None:
        self._look = look
        self._known: dict[bytes, Node | None] = {b"": _ROOT}

    def node(self, path: bytes) -> Node | None:
        if path in LINKS and path not in self._known:
            self._known[path] = self._look(path)
        return self._known.get(path)

    def names(self, path: bytes) -> Iterable[bytes]:
        """Something is there, whatever it is: an empty tree would be taken for ``scratch``."""
        return () if path else (b"etc",)

    def peers(self, path: bytes) -> frozenset[bytes]:
        return frozenset()

    def content(self, path: bytes) -> Content | None:
        return None

    def digest(self, path: bytes) -> bytes:
        raise KeyError(path)
