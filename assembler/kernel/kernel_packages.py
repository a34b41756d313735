"""A kernel's packages, as distributions hand them out: .deb (deb(5)) and .rpm, read without their tools."""

from __future__ import annotations

import lzma
from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO, Final

from assembler.atomic_files import spool
from assembler.errors import FileError, ImageError
from assembler.kernel.file_tree import FileTree, mapped
from assembler.kernel.rpm import plain_stream, read_rpm
from assembler.layer.read_tar import read_tar
from assembler.model.node import Kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from assembler.layer.read_tar import Readable

_AR: Final = b"!<arch>\n"
_MEMBER: Final = 60
_DATA: Final = "data.tar"
_USELESS: Final = (b"usr/share/", b"usr/bin/", b"usr/lib/debug/", b"boot/System.map")
_HINT: Final = "Name a package of kernel headers or of a kernel: linux-headers-*.deb, linux-image-*.deb, kernel-*.rpm."

Content = tuple[bytes, Kind, bytes, "Iterable[bytes]"]
"""A member: its path, its kind, where a symbolic link leads, and the pieces of a regular file."""


class Packed(FileTree):
    """The files of a package, in one file of this machine's."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._links: dict[bytes, bytes] = {}
        self._places: dict[bytes, tuple[int, int]] = {}
        self._names: dict[bytes, set[bytes]] = {}

    def add(self, members: Iterable[Content], sink: BinaryIO) -> None:
        """Writes what can tell of a kernel to ``sink``, which is the file."""
        for path, kind, target, pieces in members:
            if kind is Kind.SYMLINK:
                self._links[path] = target
            elif kind is Kind.REGULAR and not path.startswith(_USELESS):
                start = sink.tell()
                for piece in pieces:
                    sink.write(piece)
                self._places[path] = (start, sink.tell() - start)
            else:
                continue
            while path:
                parent, _, name = path.rpartition(b"/")
                self._names.setdefault(parent, set()).add(name)
                path = parent
        sink.flush()

    def target(self, path: bytes) -> bytes | None:
        return self._links.get(path)

    def children(self, path: bytes) -> Iterable[bytes]:
        return self._names.get(path, ())

    def is_file(self, path: bytes) -> bool:
        return path in self._places

    def data(self, path: bytes) -> memoryview | None:
        if path not in self._places:
            return None
        offset, size = self._places[path]
        return mapped(self._file, offset, size) if size else memoryview(b"")


def is_package(path: Path) -> bool:
    return path.name.endswith((".deb", ".rpm")) and path.is_file()


@contextmanager
def open_package(path: Path, directory: Path) -> Iterator[FileTree]:
    """The files of the package, which take room in ``directory`` for as long as the context lives.

    ImageError for what is no such package, or damaged.
    """
    directory.mkdir(parents=True, exist_ok=True)
    with spool(directory) as sink, _opened(path) as file:
        tree = Packed(sink.name)
        try:
            tree.add(read_rpm(file) if path.name.endswith(".rpm") else _deb(file), sink)
        except (lzma.LZMAError, EOFError, ValueError, ImageError) as error:
            reason = error.message if isinstance(error, ImageError) else str(error)
            raise ImageError(f"{path} is no package that can be read: {reason}", hint=_HINT) from error
        yield tree


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    try:
        file = path.open("rb")
    except OSError as error:
        raise FileError.of(error) from error
    with file:
        yield file


def _deb(file: BinaryIO) -> Iterator[Content]:
    if file.read(len(_AR)) != _AR:
        raise ValueError("it is no Debian package")
    while header := file.read(_MEMBER):
        name, size = header[:16].decode("ascii", "replace").strip().rstrip("/"), int(header[48:58] or b"0")
        if name.startswith(_DATA):
            yield from _members(plain_stream(file, is_lzma=name.endswith((".xz", ".lzma"))))
            return
        file.seek(size + size % 2, 1)
    raise ValueError(f"it has no {_DATA}")


def _members(tar: Readable) -> Iterator[Content]:
    for member in read_tar(tar):
        is_file = member.kind is Kind.REGULAR and not member.is_link
        yield member.path, member.kind, member.linkname, member.chunks() if is_file else ()
