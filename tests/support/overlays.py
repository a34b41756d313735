"""Overlay mounts as engines make them, by the system call alone: one costs a quarter of a millisecond. Needs root."""

from __future__ import annotations

import ctypes
import errno
import os
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

_libc = ctypes.CDLL(None, use_errno=True)
_DETACH = 2

OPTIONS = "index=off,redirect_dir=off,metacopy=off"


@contextmanager
def overlay(
    at: Path, lowers: Sequence[Path], upper: Path | None = None, work: Path | None = None, options: str = OPTIONS
) -> Iterator[Path]:
    """``lowers`` are topmost first. Without ``upper`` the mount is read-only, and one lower directory is not enough."""
    described = "lowerdir=" + ":".join(map(str, lowers))
    if upper is not None:
        described += f",upperdir={upper},workdir={work}"
    result = _mount(at, f"{described},{options}".encode())
    for _ in range(200):
        if not result or ctypes.get_errno() != errno.EBUSY:
            break
        time.sleep(0.01)  # with index=on the kernel wants the upper directory's last mount gone, which takes a moment
        result = _mount(at, f"{described},{options}".encode())
    _check(result, at)
    try:
        yield at
    finally:
        _check(_libc.umount2(os.fsencode(at), _DETACH), at)


def _mount(at: Path, described: bytes) -> int:
    return int(_libc.mount(b"overlay", os.fsencode(at), b"overlay", 0, described))


def _check(result: int, at: Path) -> None:
    if result:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), str(at))
