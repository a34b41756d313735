"""Gets a source's file: from disk, from the cache, or over HTTP; and makes sure that it is the right one."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

import httpx

from assembler.errors import SourceError
from assembler.progress import Progress
from assembler.source.cache import Cache
from assembler.source.download import download, shown
from assembler.source.partial import Partial

_CHUNK: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Fetched:
    """A file that is there, and whose digest was computed in this run. ``size`` is in bytes."""

    path: Path
    sha256: str
    size: int


@dataclass(frozen=True, slots=True)
class Fetcher:
    """What fetching needs. ``wait`` sleeps that many seconds before an attempt is repeated."""

    cache: Cache
    client: httpx.Client
    progress: Progress
    wait: Callable[[float], None] = time.sleep

    def fetch(self, url: str, sha256: str | None) -> Fetched:
        """The file at an http, https or file URL. Raises SourceError, also when its digest is not ``sha256``."""
        if urlsplit(url).scheme == "file":
            return self._local(Path(unquote(urlsplit(url).path)), sha256)
        try:
            return self._cached(sha256) or self._remote(url, sha256)
        except OSError as error:
            raise SourceError(
                f"{shown(url)} can not be stored in the cache: {error.strerror}",
                hint="The cache folder must be writable, and its disk must have room for the file.",
            ) from error

    def _local(self, path: Path, expected: str | None) -> Fetched:
        """A local file is used where it is: a copy in the cache would only cost its size again."""
        digest, size = hashlib.sha256(), 0
        try:
            with path.open("rb") as stream, self.progress.task(path.name, total=path.stat().st_size) as task:
                while chunk := stream.read(_CHUNK):
                    digest.update(chunk)
                    size += len(chunk)
                    task.advance(len(chunk))
        except OSError as error:
            raise SourceError(f"the source {path} can not be read: {error.strerror}") from error
        _check(str(path), digest.hexdigest(), expected)
        return Fetched(path, digest.hexdigest(), size)

    def _cached(self, expected: str | None) -> Fetched | None:
        path = self.cache.find(expected) if expected else None
        return Fetched(path, expected, path.stat().st_size) if path and expected else None

    def _remote(self, url: str, expected: str | None) -> Fetched:
        def waiting() -> None:
            self.progress.say(f"{shown(url)}: another build is fetching it; waiting for that")

        with self.cache.partial(url, waiting) as partial:
            if found := self._cached(expected):  # by the build that held the lock while we waited for it
                partial.discard()
                return found
            self._complete(url, partial, blind=expected is not None)
            if expected and partial.sha256 != expected and partial.resumed:
                self.progress.say(f"{shown(url)}: the parts do not belong together; fetching it anew")
                partial.restart()
                self._complete(url, partial, blind=False)
            if expected and partial.sha256 != expected:
                partial.discard()
            _check(shown(url), partial.sha256, expected)
            return Fetched(self.cache.adopt(partial), partial.sha256, partial.size)

    def _complete(self, url: str, partial: Partial, *, blind: bool) -> None:
        download(url, partial, blind=blind, client=self.client, progress=self.progress, wait=self.wait)


def _check(name: str, actual: str, expected: str | None) -> None:
    if expected is None or actual == expected:
        return
    raise SourceError(
        f"{name} is not the file that was pinned",
        detail=f"expected sha256 {expected}\nfetched  sha256 {actual}",
        hint="If the new file is right, change sha256 in the recipe, or remove the source from the lock file.",
    )
