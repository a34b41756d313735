"""An image's files as its layers make them, as far as kernels are concerned: all names, and what modules and their
lists hold."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, Final

from assembler.kernel.file_tree import FileTree, mapped
from assembler.layer.entry import hidden_by
from assembler.layer.read_tar import read_tar
from assembler.model.node import Kind

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator

    from assembler.layer.read_tar import Member, Readable

MODULE: Final = re.compile(rb"[^/]\.ko(\.(gz|xz|zst))?$")
"""How modules are named."""
LISTS: Final = (b"modules.dep", b"modules.conf", b"modules.builtin")
"""Files that tell of modules: depmod's, and those of imgasm's loader."""


@dataclass(frozen=True, slots=True)
class _File:
    """What a path is: a link with its ``target``, or a file with a place in the spooled bytes, if these were wanted."""

    target: bytes | None = None
    place: tuple[int, int] | None = None


class ImageFiles(FileTree):
    """Filled layer by layer, the lowest first. Bytes that are kept go to the file ``sink``: those of modules and their
    lists, or all."""

    def __init__(self, sink: BinaryIO, *, keeps_all: bool = False) -> None:
        self._sink = sink
        self._keeps_all = keeps_all
        self._files: dict[bytes, _File] = {}
        self._names: dict[bytes, set[bytes]] = {b"": set()}

    def lay(self, tar: Readable) -> None:
        """One layer's plain tar."""
        own: set[bytes] = set()
        for member in read_tar(tar):
            hidden = hidden_by(member.path)
            if hidden is None:
                self._add(member)
                own.add(member.path)
                continue
            directory, name = hidden
            names = [name] if name is not None else list(self._names.get(directory, ()))
            for one in names:
                self._remove(_join(directory, one), own)
        self._sink.flush()

    def _add(self, member: Member) -> None:
        path = member.path
        if member.kind is Kind.DIRECTORY:
            self._files.pop(path, None)
            self._names.setdefault(path, set())
        else:
            self._remove(path, ())
            self._files[path] = self._file(member)
        while path:
            parent, _, name = path.rpartition(b"/")
            self._names.setdefault(parent, set()).add(name)
            path = parent

    def _file(self, member: Member) -> _File:
        if member.is_link:
            return self._files.get(member.link, _File())
        if member.kind is Kind.SYMLINK:
            return _File(target=member.linkname)
        if not self._keeps_all and not _is_wanted(member.path):
            return _File()
        start = self._sink.tell()
        for chunk in member.chunks():
            self._sink.write(chunk)
        return _File(place=(start, self._sink.tell() - start))

    def _remove(self, path: bytes, own: Container[bytes]) -> None:
        """And all that is below it, but for what is the layer's ``own``: its whiteouts hide what lower layers have."""
        below = [path]
        for one in below:
            below += [_join(one, name) for name in self._names.get(one, ())]
        for one in reversed(below):
            if one in own or self._names.get(one):
                continue
            self._files.pop(one, None)
            self._names.pop(one, None)
            parent, _, name = one.rpartition(b"/")
            self._names.get(parent, set()).discard(name)

    def modules(self) -> list[bytes]:
        """The paths of all modules, in order."""
        return sorted(path for path, file in self._files.items() if MODULE.search(path) and file.target is None)

    def all(self) -> Iterator[tuple[bytes, bytes | None]]:
        """The paths of all files, in order, and where those lead that are symbolic links."""
        return ((path, file.target) for path, file in sorted(self._files.items()))

    def target(self, path: bytes) -> bytes | None:
        file = self._files.get(path)
        return file.target if file is not None else None

    def children(self, path: bytes) -> Iterable[bytes]:
        return self._names.get(path, ())

    def data(self, path: bytes) -> memoryview | None:
        file = self._files.get(path)
        if file is None or file.place is None:
            return None
        start, size = file.place
        return mapped(self._sink.name, start, size) if size else memoryview(b"")

    def is_file(self, path: bytes) -> bool:
        return path in self._files and path not in self._names


def _is_wanted(path: bytes) -> bool:
    return MODULE.search(path) is not None or path.rpartition(b"/")[2] in LISTS


def _join(directory: bytes, name: bytes) -> bytes:
    return directory + b"/" + name if directory else name


def walk(tree: FileTree, top: bytes, depth: int) -> Iterator[bytes]:
    """Every path below ``top`` that is no directory, and no deeper than ``depth`` directories."""
    found = tree.resolve(top)
    for name in sorted(tree.children(found)) if found is not None else ():
        path = _join(found or b"", name)
        below = list(tree.children(path)) if tree.target(path) is None else []
        if not below:
            yield path
        elif depth:
            yield from walk(tree, path, depth - 1)
