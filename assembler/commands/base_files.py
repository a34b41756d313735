"""The files of an image that a new layer is stacked on, as far as somebody must know them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from assembler.changeset.tar_tree import TarTree
from assembler.changeset.unpulled_tree import LINKS, UnpulledTree
from assembler.layer.decompress import decompress
from assembler.layer.read_tar import read_tar
from assembler.model.node import Kind, Node, shown
from assembler.model.size import human

if TYPE_CHECKING:
    from assembler.changeset.tree import Tree
    from assembler.places.held_image import HeldImage
    from assembler.progress import Progress


def tree_of_base(below: HeldImage, progress: Progress, *, inspect: bool) -> Tree:
    """The files of ``below``. Layers that are not here are read only to ``inspect``, and even then not kept."""
    if below.far_layers and not inspect:
        return UnpulledTree(_Glance(below, progress).find)
    tree = TarTree()
    total = sum(descriptor.size for descriptor in below.far_layers)
    with progress.task(f"reading {below.name}", total=total) as task:
        for descriptor, _ in below.image.layers:
            with below.open_layer(descriptor, task.advance) as layer:
                tree.apply_layer(decompress(layer))
    return tree


class _Glance:
    """Looks for a path in the layers from the lowest up, and stops as soon as it comes by.

    The lowest is the distribution's, which is who makes /lib a link. That a later layer makes something else of it is
    possible, and was not seen yet; ``inspect`` is for those who want to be sure.
    """

    def __init__(self, below: HeldImage, progress: Progress) -> None:
        self._below = below
        self._progress = progress
        self._seen: dict[bytes, Node] = {}
        self._complete = False
        self._read = 0

    def find(self, path: bytes) -> Node | None:
        if path not in self._seen and not self._complete:
            self._look_for(path)
        node = self._seen.get(path)
        what = "not there" if node is None else node.kind.value
        to = f" to {shown(node.target)}" if node is not None and node.kind is Kind.SYMLINK else ""
        self._progress.say(f"{self._below.name}: {shown(path)} is {what}{to} ({human(self._read)} read to see it)")
        return node

    def _look_for(self, path: bytes) -> None:
        for descriptor, _ in self._below.image.layers:
            with self._below.open_layer(descriptor, self._count) as layer:
                for member in read_tar(decompress(layer)):
                    self._note(member.path, member.node())
                    if path in self._seen:
                        return
        self._complete = True

    def _note(self, path: bytes, node: Node) -> None:
        if path in LINKS:
            self._seen.setdefault(path, node)
        for link in LINKS:
            if path.startswith(link + b"/"):  # what has something in it is a directory, also without an entry
                self._seen.setdefault(link, Node(Kind.DIRECTORY, 0o755))

    def _count(self, amount: int) -> None:
        self._read += amount
