"""Takes mounts out of another process's mount namespace: the source of a program of its own, which needs root.

setns(2) takes a mount namespace only from a process with one thread, and in the container's there is no program that
could be relied upon; so everything that is needed is loaded before. Python has ``os.setns`` since 3.12.
"""

from __future__ import annotations

import ctypes
import os

_CLONE_NEWNS = 0x00020000  # <linux/sched.h>
_MNT_DETACH = 2  # <sys/mount.h>
_UMOUNT_NOFOLLOW = 8


def unmount(pid: int, points: list[bytes]) -> None:
    """``points`` in this order, as process ``pid`` sees them. OSError for the first that stays."""
    libc = ctypes.CDLL(None, use_errno=True)
    with open(f"/proc/{pid}/ns/mnt", "rb") as namespace:
        _check(libc.setns(namespace.fileno(), _CLONE_NEWNS))
    detach(points)


def detach(points: list[bytes]) -> None:
    """``points`` in this order, as this process sees them. OSError for the first that stays."""
    libc = ctypes.CDLL(None, use_errno=True)
    for point in points:
        _check(libc.umount2(point, _MNT_DETACH | _UMOUNT_NOFOLLOW))


def _check(result: int) -> None:
    if result:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
