"""Where a path of the container goes in the image below: the same path, but through that image's symlinks (trap 9)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from assembler.changeset.symlinks import directory_at
from assembler.changeset.tree import ancestors, parent
from assembler.errors import ChangesetError
from assembler.model.node import Kind, Node, shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from assembler.changeset.tree import Tree


class Targets:
    """From ``final``, the container, into ``onto``, the image below.

    ``foreign`` says that ``onto`` is not what the container started from; otherwise every path is its own target.
    """

    def __init__(self, final: Tree, onto: Tree, *, foreign: bool) -> None:
        self.final = final
        self.onto = onto
        self._directories: dict[bytes, bytes] | None = {b"": b""} if foreign else None
        self._sources: dict[bytes, bytes] = {}
        self.moved: dict[bytes, bytes] = {}
        """Directories that had to be written elsewhere."""

    def all(self, desired: Mapping[bytes, Node | None]) -> Mapping[bytes, Node | None]:
        """``desired`` by their targets. Two files for one target are a ChangesetError."""
        if self._directories is None:
            return desired
        wanted: dict[bytes, Node | None] = {}
        for path in sorted(desired):
            target, node = self.of(path), desired[path]
            if not target:
                continue  # a link to the root was followed, and no layer has an entry for that
            if wanted.get(target) is None:
                wanted[target] = node
                if node is not None:
                    self._sources[target] = path
            elif node is not None and not _both_directories(node, wanted[target]):
                raise ChangesetError(
                    f"{shown(self.source_of(target))} and {shown(path)} are two files in the container, but the image"
                    f" below has only one place for them: {shown(target)}",
                    hint="Prune one of them, or keep only what the image needs.",
                )
        return wanted

    def of(self, path: bytes) -> bytes:
        if self._directories is None:
            return path
        node = self.final.node(path)
        if node is not None and node.kind is Kind.DIRECTORY:
            return self._directory(path)
        directory = self._directory(parent(path))
        name = path.rpartition(b"/")[2]
        return directory + b"/" + name if directory else name

    def source_of(self, target: bytes) -> bytes:
        return self._sources.get(target, target)

    def _directory(self, path: bytes) -> bytes:
        assert self._directories is not None
        if (known := self._directories.get(path)) is not None:
            return known
        for directory in (*ancestors(path), path):
            if directory not in self._directories:
                self._directories[directory] = self._find(directory, self._directories[parent(directory)])
        return self._directories[path]

    def _find(self, path: bytes, above: bytes) -> bytes:
        """The place of the directory ``path``, whose parent's is ``above``. It replaces a link to something else."""
        name = path.rpartition(b"/")[2]
        here = above + b"/" + name if above else name
        node = self.onto.node(here)
        found = directory_at(here, self.onto) if node is not None and node.kind is Kind.SYMLINK else here
        target = here if found is None else found
        self._sources.setdefault(target, path)
        if target != here:
            self.moved[path] = target
        return target


def _both_directories(node: Node, other: Node | None) -> bool:
    return other is not None and node.kind is Kind.DIRECTORY and other.kind is Kind.DIRECTORY


def there_already(links: Iterable[bytes], final: Tree, onto: Tree) -> Iterator[bytes]:
    """Those ``links`` of the container to directories that the image below needs none of: it has a way there itself.

    ChangesetError where it has a directory of its own in a link's place: what is kept would be written beside it, and
    would not be found under the name that ``keep`` gave it.
    """
    targets = Targets(final, onto, foreign=True)
    for link in sorted(links):
        place, real = targets.of(link), directory_at(link, final)
        was = onto.node(place)
        if was is None or real is None:
            continue
        if _leads_to(place, targets.of(real), onto):
            yield link
        elif was.kind is Kind.DIRECTORY:
            raise ChangesetError(
                f"keep goes through {shown(link)}, which is a link to {shown(real)} in the container, but a directory"
                f" in the image below: what is kept would be in {shown(targets.of(real))} there",
                hint=f"If that is right, name {shown(real)} in keep; if not, copy the files to a path of their own"
                     " in a step, and keep that.",
            )  # fmt: skip


def _leads_to(place: bytes, directory: bytes, onto: Tree) -> bool:
    try:
        return directory_at(place, onto) == directory
    except ChangesetError:  # in a circle, which the container's link replaces
        return False
