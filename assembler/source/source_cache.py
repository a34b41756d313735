"""A folder of fetched files, each named by its digest, that many builds can share.

    sha256/<hex>            whole files; nothing half-written ever has such a name
    partial/<key>           a download that is not finished, keyed by its URL
    partial/<key>.validator what the server called that version of the file (ETag or Last-Modified)
    partial/<key>.lock      held while somebody writes to the download
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from assembler.locks import exclusive
from assembler.private_folder import MODE, refuse_foreign
from assembler.source.partial_download import Partial


class Cache:
    """One object serves one run: it re-hashes each file before it is used for the first time."""

    def __init__(self, folder: Path) -> None:
        refuse_foreign(folder, "sha256", "partial")
        self._folder = folder
        self._whole = folder / "sha256"
        self._partial = folder / "partial"
        self._checked: set[str] = set()

    def find(self, sha256: str) -> Path | None:
        """The file with that digest, or None. One that was damaged since is left for :meth:`adopt` to replace: removed
        here, it could be the one that another build has put there in the meantime."""
        path = self._whole / sha256
        if sha256 in self._checked:
            return path
        try:
            with path.open("rb") as stream:
                actual = hashlib.file_digest(stream, "sha256").hexdigest()
        except FileNotFoundError:
            return None
        if actual != sha256:
            return None
        self._checked.add(sha256)
        return path

    @contextmanager
    def partial(self, url: str, waiting: Callable[[], None]) -> Iterator[Partial]:
        """The unfinished download of ``url``, new or left by a former run, for nobody else at the same time.

        ``waiting`` is called when another build has it, and this one has to wait.
        """
        self._make(self._partial)
        path = self._partial / hashlib.sha256(url.encode()).hexdigest()
        with exclusive(path.with_suffix(".lock"), waiting), Partial(path) as partial:
            yield partial

    def adopt(self, partial: Partial) -> Path:
        """Gives a finished download its final name."""
        self._make(self._whole)
        path = self._whole / partial.sha256
        partial.move_to(path)
        self._checked.add(partial.sha256)
        return path

    def _make(self, folder: Path) -> None:
        self._folder.mkdir(MODE, parents=True, exist_ok=True)
        folder.mkdir(MODE, exist_ok=True)
