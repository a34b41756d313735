"""Locks between processes, and the directories of work that they guard.

They are the kernel's (flock(2)) and belong to an open file: a process that ends holds none, however it ends. So what
nobody has locked was abandoned, and no clock is needed to know that. A file that is locked by its name is never
removed: whoever waited for it would then hold a lock that nobody else can see.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from assembler.errors import FileError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_WORK: Final = "work-"
_OWNED: Final = ".owned"
_FILE: Final = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC


class WorkDirectory(NamedTuple):
    """``lock`` is the descriptor that says that somebody is at work; a child that inherits it is, too."""

    path: Path
    lock: int


@contextmanager
def exclusive(path: Path, waiting: Callable[[], object] = lambda: None) -> Iterator[int]:
    """Holds the file ``path``, which is made if need be, for nobody else; yields its descriptor.

    ``waiting`` is called once, when somebody else has it and this process has to wait. FileError where the file system
    has no locks.
    """
    descriptor = os.open(path, _FILE, 0o644)
    try:
        if not lock(descriptor, path, wait=False):
            waiting()
            lock(descriptor, path)
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def attempt(path: Path) -> Iterator[bool]:
    """As :func:`exclusive`, but without waiting: yields whether nobody else has the file."""
    descriptor = os.open(path, _FILE, 0o644)
    try:
        yield lock(descriptor, path, wait=False)
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


@contextmanager
def exclusive_directory(path: Path) -> Iterator[None]:
    """Holds a directory for nobody else, without leaving a file in it."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        lock(descriptor, path)
        yield
    finally:
        os.close(descriptor)


def lock(descriptor: int, path: Path, *, wait: bool = True, shared: bool = False) -> bool:
    """Locks an open file until it is closed; False when somebody else has it and this was not to ``wait``.

    ``path`` is what messages call it.
    """
    operation = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    try:
        fcntl.flock(descriptor, operation | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    except OSError as error:
        raise FileError(
            f"{path} can't be locked: {error.strerror}",
            hint="What several processes may change needs a file system with locks. Choose a directory on another one: "
            "with IMGASM_CACHE for the cache, --output for an image, --authfile for logins.",
        ) from error
    return True


@contextmanager
def work_directory(folder: Path) -> Iterator[WorkDirectory]:
    """A new directory in ``folder``, which is made if need be; it is removed at the end.

    What killed processes left there in such directories is removed before and after: children of theirs may have been
    at work for a moment longer. A directory that is in use is locked, and stays.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with exclusive_directory(folder):  # so that nobody finds a directory between its making and its locking
        _sweep(folder)
        path = Path(tempfile.mkdtemp(dir=folder, prefix=_WORK))
        descriptor = os.open(path / _OWNED, _FILE, 0o600)
        lock(descriptor, path)
    try:
        yield WorkDirectory(path, descriptor)
    finally:
        _remove(path)
        os.close(descriptor)
        with contextlib.suppress(OSError, FileError), exclusive_directory(folder):  # the next one sweeps, too
            _sweep(folder)


def owned_file(folder: Path, prefix: str) -> tuple[int, Path]:
    """A new file, open and locked. One whose lock can be had was left by a process that was killed."""
    while True:
        descriptor, name = tempfile.mkstemp(prefix=prefix, dir=folder)
        lock(descriptor, Path(name))
        if os.fstat(descriptor).st_nlink:  # else it was taken for abandoned before it was locked
            return descriptor, Path(name)
        os.close(descriptor)


def remove_abandoned(folder: Path, prefix: str) -> None:
    """Removes files of :func:`owned_file` that killed processes left; those of living ones are locked, and stay."""
    for path in folder.glob(f"{prefix}*"):
        with contextlib.suppress(OSError), path.open("rb") as file:
            if lock(file.fileno(), path, wait=False):
                path.unlink()


@contextmanager
def abandoned(path: Path) -> Iterator[bool]:
    """Whether the process that made the work directory ``path`` is gone, as long as the context lives."""
    with attempt(path / _OWNED) as is_abandoned:
        yield is_abandoned


def work_directories(folder: Path) -> list[Path]:
    return sorted(folder.glob(f"{_WORK}*/"))


def mounts_below(path: Path) -> list[bytes]:
    """The mount points below ``path``, the deepest first."""
    below = os.fsencode(path.resolve()) + b"/"
    try:
        lines = Path("/proc/self/mountinfo").read_bytes().splitlines()
    except OSError:
        return []  # not Linux: nothing that imgasm starts mounts anything
    points = (_unescaped(line.split(b" ")[4]) for line in lines)
    return sorted((point for point in points if point.startswith(below)), key=len, reverse=True)


def _sweep(folder: Path) -> None:
    for path in work_directories(folder):
        with abandoned(path) as is_abandoned:
            if is_abandoned:
                _remove(path)


def _remove(path: Path) -> None:
    """What can't be removed harms no one, and the next process tries again. Where something is mounted below,
    removing files would remove those of another file system."""
    if not mounts_below(path):
        shutil.rmtree(path, ignore_errors=True)


def _unescaped(point: bytes) -> bytes:
    """A mount point as mountinfo has it (proc(5))."""
    for character in (b" ", b"\t", b"\n", b"\\"):
        point = point.replace(b"\\%03o" % ord(character), character)
    return point
