"""Writing one blob so that it is either whole under its digest, or not there at all."""

from __future__ import annotations

import errno
import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final, Self

from assembler.atomic_files import put_in_place
from assembler.errors import FileError, ImageError
from assembler.locks import owned_file
from assembler.model.digest import Digest

if TYPE_CHECKING:
    from types import TracebackType

TEMPORARY: Final = ".incoming-"
_WRITE_BACK: Final = 32 << 20
_CHUNK: Final = 1 << 20
_AT_ONCE: Final = 1 << 30
_NO_COPY: Final = (errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM)
"""Kernels and file systems that copy nothing by themselves say so in these ways (copy_file_range(2))."""


class BlobWriter:
    """A temporary file that becomes a blob on ``commit``, and vanishes when the ``with`` block ends without it.

        with layout.new_blob() as blob:
            blob.write(data)
            digest = blob.commit()

    With ``hashed=False`` the caller has computed the digest itself (a layer's writer does), and it is trusted.
    """

    def __init__(self, root: Path, algorithm: str = "sha256", *, hashed: bool = True) -> None:
        self._root = root
        self._hash = hashlib.new(algorithm) if hashed else None
        self.size = 0
        self._written_back = 0

    def __enter__(self) -> Self:
        try:
            descriptor, path = owned_file(self._root, TEMPORARY)
        except OSError as error:
            raise no_room(error, self._root) from error
        self._path: Path | None = path
        self._file = open(descriptor, "wb", buffering=0)
        return self

    def write(self, data: bytes | memoryview, /) -> int:
        view = memoryview(data)
        if self._hash is not None:
            self._hash.update(view)
        try:
            while view:
                written = self._file.write(view)
                view = view[written:]
        except OSError as error:
            raise no_room(error, self._root) from error
        self.size += len(data)
        if self.size - self._written_back >= _WRITE_BACK:
            self._write_back()
        return len(data)

    def take(self, source: BinaryIO) -> None:
        """All that ``source``, an open file, has left, by the kernel: it makes no copy of what can be shared."""
        try:
            while hasattr(os, "copy_file_range"):  # not on macOS
                if not (count := os.copy_file_range(source.fileno(), self._file.fileno(), _AT_ONCE)):
                    return
                self.size += count
        except OSError as error:
            if error.errno not in _NO_COPY:
                raise no_room(error, self._root) from error
        while chunk := source.read(_CHUNK):
            self.write(chunk)

    def _write_back(self) -> None:
        """Lets Linux begin to write what is there, so that fsync has little left to wait for: 5 % of a layer's time."""
        start, self._written_back = self._written_back, self.size
        if hasattr(os, "posix_fadvise"):  # not on macOS
            os.posix_fadvise(self._file.fileno(), start, self.size - start, os.POSIX_FADV_DONTNEED)

    def reread(self) -> BinaryIO:
        """What was written so far, from its beginning: for a look at it before it becomes a blob."""
        assert self._path is not None
        return self._path.open("rb")

    def commit(self, expected: Digest | None = None) -> Digest:
        """The blob under its final name. ImageError when the bytes hash to something else than ``expected``."""
        digest = Digest(self._hash.name, self._hash.hexdigest()) if self._hash is not None else expected
        if digest is None:
            raise ValueError("a writer that does not hash must be told the digest")
        if expected is not None and digest != expected:
            raise damaged(expected, digest)
        assert self._path is not None
        try:
            put_in_place(self._file.fileno(), self._path, self._root / blob_path(digest), 0o644)
            self._path = None
        except OSError as error:
            raise no_room(error, self._root) from error
        return digest

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._file.close()
        if self._path is not None:
            self._path.unlink(missing_ok=True)


def damaged(expected: Digest, actual: Digest) -> ImageError:
    return ImageError(f"a blob should be {expected}, but its bytes are {actual}",
                      hint="It was damaged on its way; get it again.")


def blob_path(digest: Digest) -> str:
    """Where a layout, or an archive of one, has the blob (image-spec image-layout.md, "Blobs")."""
    return f"blobs/{digest.algorithm}/{digest.hex}"


def no_room(error: OSError, root: Path) -> FileError:
    """What could not be written below ``root``."""
    return FileError.of(error, str(root))
