"""System calls that Python has no names for (mount(2), pivot_root(2), setns(2), openat2(2), prctl(2)).

They are made between fork and exec, in a process that has nothing else to do and one thread.
"""

from __future__ import annotations

import ctypes
import os
from typing import Final

NEW_NAMESPACES: Final = {"user": 0x10000000, "ipc": 0x08000000, "uts": 0x04000000, "net": 0x40000000,
                         "pid": 0x20000000, "mnt": 0x00020000}  # fmt: skip
"""<linux/sched.h>, in the order in which they are entered: the first gives the right to enter the others."""

READ_ONLY: Final = 1  # <sys/mount.h>
NO_SUID: Final = 2
NO_DEVICES: Final = 4
NO_PROGRAMS: Final = 8
_REMOUNT: Final = 32
_BIND: Final = 4096
_RECURSIVE: Final = 16384
_SLAVE: Final = 1 << 19
_DETACH: Final = 2

_OPENAT2: Final = 437  # the same on every architecture that came after 2011, x86_64 and arm64 among them
_RESOLVE_IN_ROOT: Final = 0x10  # <linux/openat2.h>

_DROP_FROM_BOUND: Final = 24  # <linux/prctl.h>, PR_CAPBSET_DROP

_libc = ctypes.CDLL(None, use_errno=True)


class _How(ctypes.Structure):
    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


def mount(kind: str, target: str, flags: int = 0, options: str = "", source: str | None = None) -> None:
    """A new file system of this kind at ``target``."""
    told = os.fsencode(source or kind)
    _check(_libc.mount(told, os.fsencode(target), os.fsencode(kind), ctypes.c_ulong(flags), os.fsencode(options)),
           target)


def bind(source: str, target: str, flags: int = 0, *, recursive: bool = False) -> None:
    """``source`` once more at ``target``. ``flags`` are for this view of it alone, and take a call of their own."""
    _mount(source, target, _BIND | (_RECURSIVE if recursive else 0))
    if flags:
        _mount(source, target, _BIND | _REMOUNT | flags | _locked(target))


def pivot(root: int, old_root: int) -> None:
    """Makes the open directory ``root`` this process's ``/``. ``old_root`` is the former ``/``, on top of it until
    :func:`leave`."""
    os.fchdir(root)
    _check(_libc.pivot_root(b".", b"."), "/")
    os.fchdir(old_root)
    _mount("none", ".", _SLAVE | _RECURSIVE)


def leave(old_root: int) -> None:
    """Takes the former ``/`` away, with all that is mounted in it, for this process and its children."""
    os.fchdir(old_root)
    _check(_libc.umount2(b".", _DETACH), "/")
    os.chdir("/")


def enter(namespace: int, kind: str) -> None:
    _check(_libc.setns(namespace, NEW_NAMESPACES[kind]), kind)


def open_below(root: int, path: str) -> int:
    """An O_PATH descriptor of ``path`` below the open directory ``root``, whose links lead nowhere else."""
    how = _How(os.O_PATH | os.O_CLOEXEC, 0, _RESOLVE_IN_ROOT)
    found = _libc.syscall(ctypes.c_long(_OPENAT2), root, os.fsencode(path), ctypes.byref(how), ctypes.sizeof(how))
    _check(-1 if found < 0 else 0, path)
    return int(found)


def keep_capabilities(kept: frozenset[int]) -> None:
    """From the next exec on this process and its children can have no others (capabilities(7), bounding set)."""
    with open("/proc/sys/kernel/cap_last_cap", "rb") as file:  # in a container Python finds no codec any more
        last = int(file.read())
    for number in set(range(last + 1)) - kept:
        _check(_libc.prctl(_DROP_FROM_BOUND, ctypes.c_ulong(number), 0, 0, 0), f"capability {number}")


def _locked(target: str) -> int:
    """What is mounted with these flags may not lose them in a user namespace: they have to be asked for again."""
    has = os.statvfs(target).f_flag
    return sum(flag for flag in (READ_ONLY, NO_SUID, NO_DEVICES, NO_PROGRAMS) if has & flag)


def _mount(source: str, target: str, flags: int) -> None:
    _check(_libc.mount(os.fsencode(source), os.fsencode(target), None, ctypes.c_ulong(flags), None), target)


def _check(result: int, about: str) -> None:
    if result:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), about)
