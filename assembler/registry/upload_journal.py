"""Uploads that are open, written down so that the next process can go on with them.

One JSON object a line, only ever appended: whatever moment a process is killed at, all lines but the last are whole.
A Location is kept only if it is the registry's own, where it is worth nothing without credentials; a signed URL of a
blob store is not. The file is readable by its owner alone.
"""

from __future__ import annotations

import fcntl
import os
import threading
from contextlib import contextmanager, suppress
from typing import IO, TYPE_CHECKING, Final, Protocol

import httpx
from pydantic import BaseModel, ValidationError

from assembler.errors import RegistryError
from assembler.registry.origin import Origin
from assembler.registry.repository import Upload

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from assembler.model.digest import Digest

_CAP: Final = 16 * 1024 * 1024


class Journal(Protocol):
    """Thread-safe. ``note`` says where the next byte of a blob goes, ``forget`` that none is missing."""

    def find(self, digest: Digest) -> Upload | None: ...

    def note(self, digest: Digest, upload: Upload, accepted: int) -> None: ...

    def forget(self, digest: Digest) -> None: ...


class _Line(BaseModel):
    target: str
    digest: str
    location: str | None = None
    accepted: int = 0


class NoJournal:
    """Nothing is kept: for pushes that nobody can take up again."""

    def find(self, digest: Digest) -> Upload | None:
        return None

    def note(self, digest: Digest, upload: Upload, accepted: int) -> None:
        pass

    def forget(self, digest: Digest) -> None:
        pass


class FileJournal:
    """The uploads to one ``target`` (``origin/repository``) in a file that may hold those to others as well."""

    def __init__(self, file: IO[bytes], origin: Origin, repository: str) -> None:
        self._file = file
        self._origin = origin
        self._target = f"{origin}/{repository}"
        self._lock = threading.Lock()
        self._open = _read(file)

    @property
    def is_empty(self) -> bool:
        return not self._open

    def find(self, digest: Digest) -> Upload | None:
        line = self._open.get((self._target, str(digest)))
        if line is None or line.location is None:
            return None
        try:
            url = httpx.URL(line.location)
            same = Origin.of(url) == self._origin and not url.userinfo
        except (httpx.InvalidURL, KeyError):
            return None
        return Upload(url, line.accepted) if same else None

    def note(self, digest: Digest, upload: Upload, accepted: int) -> None:
        if Origin.of(upload.location) == self._origin:
            self._append(_Line(target=self._target, digest=str(digest), location=str(upload.location),
                               accepted=accepted))

    def forget(self, digest: Digest) -> None:
        if (self._target, str(digest)) in self._open:
            self._append(_Line(target=self._target, digest=str(digest)))

    def _append(self, line: _Line) -> None:
        with self._lock:
            _apply(self._open, line)
            self._file.write(line.model_dump_json().encode() + b"\n")
            self._file.flush()


@contextmanager
def open_journal(path: Path | None, origin: Origin, repository: str) -> Iterator[Journal]:
    """The journal at ``path``; removed when nothing is open any more. Another process that has it keeps it for itself:
    two that went on with the same upload would spoil it for each other."""
    if path is None:
        yield NoJournal()
        return
    try:
        file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600), "r+b")
    except OSError as error:
        raise RegistryError(f"The journal {path} can't be opened: {error.strerror}",
                            hint="It keeps what is needed to continue an interrupted push.") from error
    with file:
        if not _lock(file):
            yield NoJournal()
            return
        journal = FileJournal(file, origin, repository)
        try:
            yield journal
        finally:
            if journal.is_empty:
                with suppress(OSError):  # one that says nothing is as good as none, and all is pushed
                    path.unlink()


def _lock(file: IO[bytes]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _read(file: IO[bytes]) -> dict[tuple[str, str], _Line]:
    file.seek(0)
    text = file.read(_CAP)
    if text and not text.endswith(b"\n"):
        file.write(b"\n")
    return read_journal(text)


def read_journal(text: bytes) -> dict[tuple[str, str], _Line]:
    """Lines that are no lines of ours, or not whole, count as not written."""
    uploads: dict[tuple[str, str], _Line] = {}
    for line in text.splitlines():
        try:
            _apply(uploads, _Line.model_validate_json(line))
        except ValidationError:
            continue
    return uploads


def _apply(uploads: dict[tuple[str, str], _Line], line: _Line) -> None:
    key = (line.target, line.digest)
    if line.location is None:
        uploads.pop(key, None)
    else:
        uploads[key] = line
