"""A download on its way: the bytes so far, their running digest, and which version of the file they are of."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, Final, Self

from assembler.atomic_files import put_in_place

_CHUNK: Final = 1024 * 1024
_MOST_AT_ONCE: Final = 1 << 30
_NOT_IN_THE_KERNEL: Final = frozenset({errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP})
"""copy_file_range(2): two file systems, or one that can't; it says so before the first byte."""


class Partial:
    """``resumed`` tells that bytes of several answers were joined: a wrong digest may then be the join's fault."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._validator_path = path.with_suffix(".validator")
        self._file = path.open("a+b")
        self._hash = hashlib.sha256()
        self.size = 0
        self.resumed = False
        self._file.seek(0)
        while chunk := self._file.read(_CHUNK):
            self._count(chunk)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()

    @property
    def validator(self) -> str | None:
        """For If-Range: a strong ETag or a Last-Modified date; None when the server gave neither."""
        try:
            return self._validator_path.read_text(encoding="ascii") or None
        except FileNotFoundError:
            return None

    def restart(self, validator: str | None = None) -> None:
        """Forgets all bytes. What comes now is of the version that ``validator`` names."""
        self._file.truncate(0)
        self._hash = hashlib.sha256()
        self.size = 0
        self.resumed = False
        self._validator_path.write_text(validator or "", encoding="ascii")

    def copy(self, source: BinaryIO, advance: Callable[[int], object]) -> None:
        """Becomes ``source`` as it is now; ``advance`` gets the number of bytes. Blocks are shared where possible."""
        self.restart()
        with self._path.open("r+b") as target:
            try:
                while os.copy_file_range(source.fileno(), target.fileno(), _MOST_AT_ONCE):
                    pass
            except OSError as error:
                if error.errno not in _NOT_IN_THE_KERNEL:
                    raise
                shutil.copyfileobj(source, target, _CHUNK)
        self._file.seek(0)
        while chunk := self._file.read(_CHUNK):
            self._count(chunk)
            advance(len(chunk))

    def append(self, chunk: bytes) -> None:
        self._file.write(chunk)
        self._count(chunk)

    def _count(self, chunk: bytes) -> None:
        self._hash.update(chunk)
        self.size += len(chunk)

    def flush(self) -> None:
        """What was appended outlives this process."""
        self._file.flush()

    def move_to(self, path: Path) -> None:
        self._file.flush()
        put_in_place(self._file.fileno(), self._path, path, None)
        self._validator_path.unlink(missing_ok=True)

    def discard(self) -> None:
        self._path.unlink(missing_ok=True)
        self._validator_path.unlink(missing_ok=True)
