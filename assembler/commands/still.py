"""A build without steps: nothing runs, so no engine is needed. The files are those of the base's own layers."""

from __future__ import annotations

import io
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from assembler.changeset.capture import Capture
from assembler.changeset.follow import directory_at, place_of
from assembler.changeset.tarball import TarTree, candidates, is_directory
from assembler.changeset.tree import parent
from assembler.errors import ChangesetError, RecipeError
from assembler.files import spool
from assembler.layer.decompress import decompress
from assembler.layer.entry import Entry
from assembler.layer.header import END, header, padding
from assembler.model.node import Kind, Node, shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path
    from typing import BinaryIO

    from assembler.commands.base import Bases
    from assembler.layer.read import Readable
    from assembler.recipe.model import File, Recipe

    OpenLayer = Callable[[], AbstractContextManager[Readable]]


@contextmanager
def still(recipe: Recipe, bases: Bases, folder: Path) -> Iterator[Capture]:
    """The base's files and the recipe's own, as if a container had them. Contents spool to the directory ``folder``."""
    if recipe.sources:
        raise RecipeError(f"{recipe.file} has a [[source]] and no [[step]] that could use it",
                          hint="Sources are mounted while steps run; a [[file]] goes into the image by itself.")
    below = bases.open_layers(bases.whole(recipe.base))
    base = _read(below)
    with spool(folder) as file:
        layers = [*below, lambda: io.BytesIO(_tar(recipe.files, base))] if recipe.files else below
        final = _read(layers) if recipe.files else base
        final.fetch = _Contents(layers, final, file)
        changed = dict(candidates(final, base)) if recipe.files else {}
        yield Capture("layers", final, base, frozenset(), changed)


def _read(layers: Sequence[OpenLayer]) -> TarTree:
    tree = TarTree()
    for open_layer in layers:
        with open_layer() as layer:
            tree.apply_layer(decompress(layer))
    return tree


class _Contents:
    """Reads the layers once more, for the contents of the files that an image keeps."""

    def __init__(self, layers: Sequence[OpenLayer], tree: TarTree, spool: BinaryIO) -> None:
        self._layers = layers
        self._tree = tree
        self._spool = spool

    def __call__(self, paths: frozenset[bytes]) -> None:
        for open_layer in self._layers:  # what a higher layer has of a path comes last, and stays
            with open_layer() as layer:
                self._tree.read_contents(decompress(layer), self._spool, paths)
        self._spool.flush()


def _tar(files: Sequence[File], base: TarTree) -> bytes:
    """The recipe's files as one more layer."""
    members = []
    for file in files:
        path = _place(os.fsencode(file.path).strip(b"/"), base)
        node = Node(Kind.REGULAR, file.mode, size=len(file.content))
        members += [header(Entry(path, node)), file.content, bytes(padding(node.size))]
    return b"".join([*members, END])


def _place(path: bytes, base: TarTree) -> bytes:
    """Where a file of this path is written: through the base's symbolic links, as a running container does it."""
    place = place_of(path, base)
    directory = directory_at(parent(place), base) if place else None
    if not place or directory is None or is_directory(base, place):
        raise ChangesetError(f"the file {shown(path)} can't be written: in the base that is a directory, or below a "
                             "file", hint="Choose another path for the file.")
    return place
