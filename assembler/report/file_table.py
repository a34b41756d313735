"""Every file of a layer, in columns: small enough to keep in a record, quick enough for a page of 100,000 files.

A column of 100,000 numbers is a tenth of 100,000 objects, in the JSON, in Python and in a browser. Directories are
written once; kinds and packages are numbers that point into short lists.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from pydantic import model_validator

from assembler.report.record_part import RecordPart, path_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence


@dataclass(frozen=True, slots=True)
class LayerRow:
    """One regular file. ``step`` wrote it last, ``share`` is its part of the compressed blob, ``kind`` is what its
    bytes are (``ELF``, ``kernel module``, ``text``), ``package`` owns it."""

    path: bytes
    size: int
    step: int | None = None
    share: int | None = None
    kind: str | None = None
    package: str | None = None


@dataclass(frozen=True, slots=True)
class FileRow:
    """As :class:`LayerRow`, with the path as text: the bytes of an odd one can't be had back from a record."""

    path: str
    size: int
    step: int | None
    share: int | None
    kind: str | None
    package: str | None


class FileTable(RecordPart):
    """Row ``i`` is the file ``directories[parents[i]] + "/" + names[i]``. Rows are in order of path."""

    directories: tuple[str, ...] = ()
    kind_names: tuple[str, ...] = ()
    package_names: tuple[str, ...] = ()
    parents: tuple[int, ...] = ()
    names: tuple[str, ...] = ()
    sizes: tuple[int, ...] = ()
    steps: tuple[int | None, ...] = ()
    shares: tuple[int | None, ...] = ()
    kinds: tuple[int | None, ...] = ()
    packages: tuple[int | None, ...] = ()

    @model_validator(mode="after")
    def _is_a_table(self) -> Self:
        columns = (self.parents, self.sizes, self.steps, self.shares, self.kinds, self.packages)
        if any(len(column) != len(self.names) for column in columns):
            raise ValueError("the columns differ in length")
        pairs = ((self.parents, self.directories), (self.kinds, self.kind_names), (self.packages, self.package_names))
        if any(not 0 <= index < len(names) for column, names in pairs for index in column if index is not None):
            raise ValueError("a row points to a name that is not there")
        return self

    def __len__(self) -> int:
        return len(self.names)

    def rows(self) -> Iterator[FileRow]:
        paths = map(self._path, self.parents, self.names)
        kinds = (_name(self.kind_names, kind) for kind in self.kinds)
        packages = (_name(self.package_names, package) for package in self.packages)
        return map(FileRow, paths, self.sizes, self.steps, self.shares, kinds, packages)

    def _path(self, parent: int, name: str) -> str:
        return f"{self.directories[parent].rstrip('/')}/{name}"


def file_table(rows: Iterable[LayerRow]) -> FileTable:
    """Sorts ``rows`` by path; two rows of one path stay two rows."""
    ordered = sorted(rows, key=lambda row: row.path)
    split = [row.path.rpartition(b"/") for row in ordered]
    directories, kinds, packages = _Names(), _Names(), _Names()
    return FileTable(
        parents=tuple(directories.number(path_text(parent)) for parent, _, _ in split),
        names=tuple(path_text(name)[1:] for _, _, name in split),
        sizes=tuple(row.size for row in ordered),
        steps=tuple(row.step for row in ordered),
        shares=tuple(row.share for row in ordered),
        kinds=tuple(kinds.number_or_none(row.kind) for row in ordered),
        packages=tuple(packages.number_or_none(row.package) for row in ordered),
        directories=directories.names(),
        kind_names=kinds.names(),
        package_names=packages.names(),
    )


def shares(sizes: Sequence[int], marks: Sequence[tuple[int, int]]) -> list[int]:
    """What each piece of a tar takes of the compressed blob, in whole bytes that sum to the blob's size.

    ``sizes`` are the pieces' bytes in the tar, in order. ``marks`` are (bytes in, bytes out) of the compressor, both
    growing; the last is (tar's size, blob's size). Between two marks bytes are taken to compress alike: the figures
    are as fine as the compressor's own blocks.
    """
    found: list[int] = []
    marks = list(dict(marks).items())  # where several say the same number of bytes in, the last is right
    position = done = index = before_in = before_out = 0
    for size in sizes:
        position += size
        while index < len(marks) - 1 and marks[index][0] < position:
            before_in, before_out = marks[index]
            index += 1
        into, out = marks[index]
        span = into - before_in
        reached = before_out + (out - before_out) * (position - before_in) // span if span else out
        found.append(reached - done)
        done = reached
    return found


def _name(names: tuple[str, ...], index: int | None) -> str | None:
    return None if index is None else names[index]


class _Names:
    """Numbers for names, in order of first use."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def number(self, name: str) -> int:
        return self._numbers.setdefault(name, len(self._numbers))

    def number_or_none(self, name: str | None) -> int | None:
        return None if name is None else self.number(name)

    def names(self) -> tuple[str, ...]:
        return tuple(self._numbers)
