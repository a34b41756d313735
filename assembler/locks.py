"""Locks between processes, and the directories of work that they guard.

They are the kernel's (flock(2)) and belong to an open file: a process that ends holds none, however it ends. So what
nobody has locked was abandoned, and no clock is needed to know that. A file that is locked by its name is never
removed: whoever waited for it would then hold a lock that nobody else can see.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from assembler.errors import FileError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@contextmanager
def exclusive(path: Path, waiting: Callable[[], object] = lambda: None) -> Iterator[int]:
    """Holds the file ``path``, which is made if need be, for nobody else; yields its descriptor.

    ``waiting`` is called once, when somebody else has it and this process has to wait. FileError where the file system
    has no locks.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        if not lock(descriptor, path, wait=False):
            waiting()
            lock(descriptor, path)
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def shared(path: Path) -> Iterator[int]:
    """Holds the file ``path``, which must be there, together with others that read; yields its descriptor."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        lock(descriptor, path, shared=True)
        yield descriptor
    finally:
        os.close(descriptor)


def lock(descriptor: int, path: Path, *, wait: bool = True, shared: bool = False) -> bool:
    """Locks an open file until it is closed; False when somebody else has it and this was not to ``wait``.

    ``path`` is what messages call it. Where this fails, a lock that the file had before is gone, too (flock(2)).
    """
    operation = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    try:
        fcntl.flock(descriptor, operation | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    except OSError as error:
        raise FileError(
            f"{path} can't be locked: {error.strerror}",
            hint="Builds that share a directory need a file system with locks. Choose another one: with IMGASM_CACHE "
            "for the cache, with --output for an image.",
        ) from error
    return True
