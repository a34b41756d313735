"""What a new layer is stacked on: an image that may be all here, or of which only manifest and config were read."""

from __future__ import annotations

from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from assembler.changeset.tarball import TarTree
from assembler.changeset.unpulled import LINKS, UnpulledTree
from assembler.image.origins import missing
from assembler.layer.decompress import decompress
from assembler.layer.pieces import Pieces
from assembler.layer.read import read_tar
from assembler.model.node import Kind, Node, shown
from assembler.model.size import human
from assembler.registry.reading import stream_blob

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence

    from assembler.changeset.tree import Tree
    from assembler.commands.registries import Registries
    from assembler.image.assemble import BaseImage
    from assembler.image.layout import Layout
    from assembler.layer.read import Readable
    from assembler.model.oci import Descriptor
    from assembler.model.reference import Reference
    from assembler.progress import Progress


@dataclass(frozen=True, slots=True)
class Below:
    """Its layers are in ``store``, or in the repositories ``origins``."""

    base: BaseImage
    store: Layout | None
    origins: tuple[Reference, ...] = ()

    @property
    def name(self) -> str:
        return str(self.base.reference or (self.store.root if self.store else self.base.image.descriptor.digest))

    @property
    def far(self) -> Sequence[Descriptor]:
        """The layers that are not here."""
        layers = [descriptor for descriptor, _ in self.base.image.layers]
        return missing(self.store, self.base.image) if self.store is not None else layers

    def bring(self, layout: Layout) -> None:
        """Takes the layers that are here over into ``layout``."""
        for descriptor, _ in self.base.image.layers:
            if self.store is not None and self.store.has(descriptor):
                layout.adopt(self.store, descriptor)

    @contextmanager
    def open_layer(
        self, descriptor: Descriptor, registries: Registries, advance: Callable[[int], object] = int
    ) -> Iterator[Readable]:
        """The blob, from wherever it is; ``advance`` is told of bytes that came from a registry."""
        if self.store is not None and self.store.has(descriptor):
            with self.store.open_blob(descriptor.digest) as file:
                yield file
            return
        with (
            registries.holder(descriptor, self.origins) as repository,
            closing(_told(stream_blob(repository, descriptor), advance)) as pieces,
        ):
            yield Pieces(pieces)


def tree_of(below: Below, registries: Registries, progress: Progress, *, inspect: bool) -> Tree:
    """The files of ``below``. Layers that are not here are read only to ``inspect``, and even then not kept."""
    if below.far and not inspect:
        return UnpulledTree(_Glance(below, registries, progress).find)
    tree = TarTree()
    total = sum(descriptor.size for descriptor in below.far)
    with progress.task(f"reading {below.name}", total=total) as task:
        for descriptor, _ in below.base.image.layers:
            with below.open_layer(descriptor, registries, task.advance) as layer:
                tree.apply_layer(decompress(layer))
    return tree


class _Glance:
    """Looks for a path in the layers from the lowest up, and stops as soon as it comes by.

    The lowest is the distribution's, which is who makes /lib a link. That a later layer makes something else of it is
    possible, and was not seen yet; ``inspect`` is for those who want to be sure.
    """

    def __init__(self, below: Below, registries: Registries, progress: Progress) -> None:
        self._below = below
        self._registries = registries
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
        for descriptor, _ in self._below.base.image.layers:
            with self._below.open_layer(descriptor, self._registries, self._count) as layer:
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


def _told(pieces: Iterator[bytes], advance: Callable[[int], object]) -> Generator[bytes]:
    for piece in pieces:
        advance(len(piece))
        yield piece
