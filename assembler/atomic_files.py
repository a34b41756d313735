"""Files that are whole or not there at all, and errors of the operating system that name what they are about."""

from __future__ import annotations

import errno
import os
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

from assembler.errors import FileError
from assembler.locks import owned_file

if TYPE_CHECKING:
    from collections.abc import Iterator

_SPOOL: Final = ".incoming-spool-"
"""As blobs that are not finished: whoever makes or opens a layout there to write to it removes what was left."""
_OF_DISKS: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)


@contextmanager
def naming(path: str | os.PathLike[str]) -> Iterator[None]:
    """Adds ``path`` to an OSError that names no file: ``write`` and ``fsync`` raise those."""
    try:
        yield
    except OSError as error:
        if error.filename is None:
            error.filename = os.fspath(path)
        raise


@contextmanager
def whole_file(path: Path, *, mode: int = 0o644, prefix: str | None = None) -> Iterator[BinaryIO]:
    """A file to write to, which replaces ``path`` when the block ends.

    A reader sees the old bytes or the new ones, also after a power cut. Until then the file's name begins with
    ``prefix``, and only its owner can read it.

    FileError names ``path``: a full disk, a missing directory, missing permission.
    """
    prefix = prefix or f".{path.name}-"
    try:
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=prefix, delete=False) as file:
            try:
                yield file  # type: ignore[misc]  # a wrapper that is a BinaryIO in all but name
                file.flush()
                put_in_place(file.fileno(), file.name, path, mode)
            except BaseException:
                Path(file.name).unlink(missing_ok=True)
                raise
    except OSError as error:
        if _is_about(error, prefix):
            raise FileError.of(error, os.fspath(path)) from error
        raise


def put_in_place(descriptor: int, path: str | os.PathLike[str], target: Path, mode: int | None) -> None:
    """Gives the open, written file at ``path`` the name ``target``, which means the old bytes or the new ones, also
    after a power cut. ``mode`` None leaves the file's as it is."""
    if mode is not None:
        os.fchmod(descriptor, mode)
    os.fsync(descriptor)
    os.replace(path, target)
    sync_directory(target.parent)


def put_directory_in_place(path: Path, target: Path) -> bool:
    """Gives the directory at ``path``, with all that is in it, the name ``target``; False where there is one already.

    What is in it is as whole as it was; after a power cut, too.
    """
    for file in path.iterdir():
        with file.open("rb") as opened:
            os.fsync(opened.fileno())
    sync_directory(path)
    try:
        os.rename(path, target)
    except OSError as error:
        if error.errno in (errno.EEXIST, errno.ENOTEMPTY):
            return False
        raise
    sync_directory(target.parent)
    return True


def put_tree_in_place(path: Path, target: Path) -> None:
    """As :func:`put_directory_in_place`, for one that holds thousands of files, in directories of their own."""
    os.sync()
    os.rename(path, target)
    sync_directory(target.parent)


@contextmanager
def spool(directory: Path) -> Iterator[BinaryIO]:
    """A file in ``directory`` for what does not fit into memory, gone when the block ends.

    FileError names ``directory``.
    """
    try:
        descriptor, path = owned_file(directory, _SPOOL)
        with open(path, "wb", opener=lambda *_: descriptor) as file:
            try:
                yield file
            finally:
                path.unlink(missing_ok=True)
    except OSError as error:
        if _is_about(error, _SPOOL):
            raise FileError.of(error, os.fspath(directory)) from error
        raise


def _is_about(error: OSError, prefix: str) -> bool:
    """Is it about the temporary file whose name begins with ``prefix``? ``write`` and ``fsync`` name none."""
    if error.filename is None:
        return error.errno in _OF_DISKS
    return os.path.basename(os.fsdecode(error.filename)).startswith(prefix)


def replace_file(path: Path, data: bytes, *, mode: int = 0o644, prefix: str | None = None) -> None:
    """Writes ``data`` to ``path`` as :func:`whole_file` does."""
    with whole_file(path, mode=mode, prefix=prefix) as file:
        file.write(data)


def sync_directory(path: Path) -> None:
    """Names in ``path`` survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
