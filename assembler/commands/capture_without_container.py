"""A build without steps: nothing runs, so no engine is needed. The files are those of the base's own layers."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from assembler.atomic_files import spool
from assembler.changeset.capture import Capture
from assembler.changeset.symlinks import directory_at, place_of
from assembler.changeset.tar_tree import TarTree, candidates, is_directory
from assembler.changeset.tree import parent
from assembler.commands.recipe_files import UserIds, members, write_tar
from assembler.errors import ChangesetError, RecipeError
from assembler.layer.decompress import decompress
from assembler.model.node import Kind, shown
from assembler.recipe.files import File

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path
    from typing import BinaryIO

    from assembler.commands.bases import Bases
    from assembler.commands.recipe_files import Added
    from assembler.layer.read_tar import Readable
    from assembler.recipe.files import Folder
    from assembler.recipe.recipe import Recipe

    OpenLayer = Callable[[], AbstractContextManager[Readable]]


@contextmanager
def capture_without_container(recipe: Recipe, bases: Bases, folder: Path) -> Iterator[Capture]:
    """The base's files and the recipe's own, as if a container had them. Contents spool to the directory ``folder``."""
    if recipe.sources:
        raise RecipeError(f"{recipe.file} has a [[source]], but no [[step]] that could use it",
                          hint="Sources are mounted while steps run; a [[file]] goes into the image by itself.")
    below = bases.open_layers(bases.whole(recipe.base))
    base = _read(below)
    with spool(folder) as file, spool(folder) as added:
        owners = UserIds(lambda path: _text_in(base, os.fsencode(path).strip(b"/"), below, folder))
        _write_tar(recipe.files, base, owners, added)
        layers = [*below, lambda: open(added.name, "rb")] if recipe.files else below  # noqa: SIM115
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


def _text_in(base: TarTree, path: bytes, below: Sequence[OpenLayer], folder: Path) -> str:
    """A small file of the base's; empty if it has none."""
    place = place_of(path, base)
    if place is None or (node := base.node(place)) is None or node.kind is not Kind.REGULAR:
        return ""
    with spool(folder) as file:
        _Contents(below, base, file)(frozenset({place}))
        content = base.content(place)
        assert content is not None
        with open(content.file, "rb") as stream:
            stream.seek(content.offset)
            return stream.read(node.size).decode(errors="replace")


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


def _write_tar(files: Sequence[File | Folder], base: TarTree, owners: UserIds, sink: BinaryIO) -> None:
    """The recipe's files as one more layer."""
    write_tar(_placed(files, base, owners), sink)
    sink.flush()


def _placed(files: Sequence[File | Folder], base: TarTree, owners: UserIds) -> Iterator[Added]:
    for file in files:
        for entry, origin in members(file, owners.ids(file.owner)):
            if entry.node is not None and entry.node.kind is Kind.DIRECTORY:
                place = place_of(entry.path, base)
                if place is not None and is_directory(base, place):
                    continue  # it stays what it is
            else:
                place = _place(entry.path, base, follow=isinstance(file, File))
            if place is None:
                raise _no_place(entry.path)
            yield entry._replace(path=place), origin


def _place(path: bytes, base: TarTree, *, follow: bool) -> bytes:
    """Where a file of this path is written: through the base's symbolic links, as a running container does it.

    ``follow`` goes for the last part of the path: of a directory's files, each takes the place of what is there.
    """
    directory = directory_at(parent(path), base)
    name = path.rpartition(b"/")[2]
    beside = directory + b"/" + name if directory else name
    place = place_of(path, base) if follow else beside
    if directory is None or not place or directory_at(parent(place), base) is None or is_directory(base, place):
        raise _no_place(path)
    return place


def _no_place(path: bytes) -> ChangesetError:
    return ChangesetError(f"the file {shown(path)} can't be written: in the base that is a directory, or below a file",
                          hint="Choose another path for the file.")
