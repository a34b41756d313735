"""Blobs of a cache, hashed again where they may have changed since: the file ``verified`` beside them remembers.

A blob's identity is its inode, size and times. The time of the last change (ctime) is the kernel's own, and whatever is
done to a file, to its bytes, owner or mode, moves it.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Final

from assembler.atomic_files import replace_file
from assembler.image.blob_writer import TEMPORARY
from assembler.locks import exclusive_directory
from assembler.model.digest import Digest

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from assembler.image.blob_store import BlobStore
    from assembler.model.descriptor import Descriptor

NAME: Final = "verified"


def remove_changed(store: BlobStore, blobs: Iterable[Descriptor]) -> None:
    """Hashes those of ``blobs`` that are not as they were when they were hashed last, and removes what is not what its
    name says."""
    known = _read(store.root / NAME)
    found = dict(known)
    for blob in filter(store.has, blobs):
        name, now = str(blob.digest), _identity(store.path(blob.digest))
        if known.get(name) == now:
            continue
        with store.open_blob(blob.digest) as file:
            actual = Digest.of_file(file, blob.digest.algorithm)
        if actual == blob.digest:
            found[name] = now
        else:
            store.path(blob.digest).unlink()
            found.pop(name, None)
    if found != known:
        _write(store.root / NAME, found)


def _identity(path: Path) -> list[int]:
    status = path.lstat()
    return [status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns]


def _read(path: Path) -> dict[str, list[int]]:
    try:
        known = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return known if isinstance(known, dict) else {}


def _write(path: Path, known: dict[str, list[int]]) -> None:
    """A cache that can only be read is hashed each time. Without the layout's lock, whoever opens it to write takes the
    file that is not finished for abandoned."""
    if os.access(path.parent, os.W_OK):
        with exclusive_directory(path.parent):
            replace_file(path, json.dumps(known).encode(), prefix=TEMPORARY)
