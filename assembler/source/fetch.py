"""Gets a source's file into the cache, from disk or over HTTP, and makes sure that it is the right one."""

from __future__ import annotations

import hashlib
import os
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final
from urllib.parse import unquote, urlsplit

from assembler.errors import SourceError
from assembler.progress import Progress, Task
from assembler.source.download import Downloads, download, shown
from assembler.source.partial_download import Partial
from assembler.source.source_cache import Cache

_CHUNK: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Fetched:
    """A file that is there, and whose digest was computed in this run. ``size`` is in bytes."""

    path: Path
    sha256: str
    size: int


@dataclass(frozen=True, slots=True)
class Fetcher:
    """What fetching needs."""

    cache: Cache
    downloads: Downloads

    @property
    def progress(self) -> Progress:
        return self.downloads.progress

    def fetch(self, url: str, sha256: str | None) -> Fetched:
        """The file at an http, https or file URL. Raises SourceError, also when its digest is not ``sha256``."""
        try:
            if urlsplit(url).scheme == "file":
                return self._local(url, sha256)
            return self._cached(sha256) or self._remote(url, sha256)
        except OSError as error:
            raise SourceError(
                f"{shown(url)} can't be stored in the cache: {error.strerror}",
                hint="The cache folder must be writable, and its disk must have room for the file.",
            ) from error

    def _local(self, url: str, expected: str | None) -> Fetched:
        """A snapshot of a local file: the steps see the bytes that have the digest, whatever becomes of the file.

        A snapshot that the cache has already is only compared with the file.
        """
        path = Path(unquote(urlsplit(url).path))
        with _opened(path) as stream, self._alone(url, path.name) as partial:
            found = self._cached(expected)
            with self.progress.task(path.name, total=os.fstat(stream.fileno()).st_size) as task:
                actual = _digest(stream, task) if found else _copied(stream, partial, task)
            if expected and actual != expected:
                partial.discard()
            _check(str(path), actual, expected)
            return found or Fetched(self.cache.adopt(partial), actual, partial.size)

    def _cached(self, expected: str | None) -> Fetched | None:
        path = self.cache.find(expected) if expected else None
        return Fetched(path, expected, path.stat().st_size) if path and expected else None

    def _remote(self, url: str, expected: str | None) -> Fetched:
        with self._alone(url, shown(url)) as partial:
            if found := self._cached(expected):  # by the build that held the lock while we waited for it
                partial.discard()
                return found
            self._complete(url, partial, blind=expected is not None)
            if expected and partial.sha256 != expected and partial.resumed:
                self.progress.say(f"{shown(url)}: the parts do not fit together; fetching it again")
                partial.restart()
                self._complete(url, partial, blind=False)
            if expected and partial.sha256 != expected:
                partial.discard()
            _check(shown(url), partial.sha256, expected)
            return Fetched(self.cache.adopt(partial), partial.sha256, partial.size)

    def _alone(self, url: str, name: str) -> AbstractContextManager[Partial]:
        def waiting() -> None:
            self.progress.say(f"{name}: another build is fetching it; waiting for that")

        return self.cache.partial(url, waiting)

    def _complete(self, url: str, partial: Partial, *, blind: bool) -> None:
        download(url, partial, self.downloads, blind=blind)


def _opened(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except OSError as error:
        raise SourceError(f"the source {path} can't be read: {error.strerror}") from error


def _copied(stream: BinaryIO, partial: Partial, task: Task) -> str:
    try:
        partial.copy(stream, task.advance)
    except OSError:
        partial.discard()  # unlike a download it has no bytes that were hard to get
        raise
    return partial.sha256


def _digest(stream: BinaryIO, task: Task) -> str:
    digest = hashlib.sha256()
    while chunk := stream.read(_CHUNK):
        digest.update(chunk)
        task.advance(len(chunk))
    return digest.hexdigest()


def _check(name: str, actual: str, expected: str | None) -> None:
    if expected is None or actual == expected:
        return
    raise SourceError(
        f"{name} is not the file that was pinned",
        detail=f"expected sha256 {expected}\nfetched  sha256 {actual}",
        hint="If the new file is right, change sha256 in the recipe, or remove the source from the lock file.",
    )
