"""A container's process 1 as this machine's /proc shows it, and from there the files of the container's engine."""

from __future__ import annotations

import os
import re
import socket
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_PEER: Final = struct.Struct("3i")
"""struct ucred: process, user, group."""

_OCTAL: Final = re.compile(rb"\\([0-7]{3})")


@dataclass(frozen=True, slots=True)
class Mount:
    """One line of mountinfo (proc(5)). ``point`` is absolute, with the kernel's octal escapes undone.

    ``root`` is what of its file system is seen there; ``options`` are the file system's own, split at commas and still
    escaped.
    """

    root: bytes
    point: bytes
    read_only: bool
    kind: str
    options: tuple[bytes, ...]


def read_mounts(mountinfo: bytes) -> list[Mount]:
    mounts = []
    for line in filter(None, mountinfo.split(b"\n")):  # splitlines would end a line at a name's carriage return, too
        before, _, after = line.partition(b" - ")
        _, _, _, root, point, flags, *_ = before.split(b" ")
        kind, _, options = after.split(b" ", 2)
        mounts.append(Mount(unescape(root), unescape(point), b"ro" in flags.split(b","), kind.decode(),
                            tuple(options.split(b","))))
    return mounts


def mounts_of(pid: int | str) -> list[Mount]:
    with open(f"/proc/{pid}/mountinfo", "rb") as file:
        return read_mounts(file.read())


def unescape(text: bytes) -> bytes:
    """``\\040`` and its like: the kernel's seq_escape."""
    return _OCTAL.sub(lambda match: bytes([int(match[1], 8)]), text)


def is_init_of(pid: int, build: str) -> bool:
    """Is ``pid`` really the container of the build here, and not some process that has its number on this machine?"""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return file.read().split(b"\0")[-2:-1] == [build.encode()]
    except OSError:
        return False


def shifts_owners(pid: int) -> bool:
    """Does a user namespace (rootless, userns-remap) show other owners in the container than the files have here?"""
    with open(f"/proc/{pid}/uid_map", encoding="ascii") as file:
        return file.read().split() != ["0", "0", "4294967295"]


def seen_by_server(unix_socket: Path, path: Path) -> Path | None:
    """``path`` as the process behind the socket means it, or None if that process can't be looked at."""
    try:
        theirs = Path(f"/proc/{_server_of(unix_socket)}/root", *path.parts[1:])
        return Path(os.fsdecode(plainest(os.fsencode(theirs), os.fsencode(path)))) if theirs.is_dir() else None
    except OSError:
        return None


def is_shared_with_server(unix_socket: Path, path: Path) -> bool:
    """Does the process behind the socket find the same file at ``path``?

    In an engine's own machine or mount namespace (a socket that was mounted into a CI job's container) it does not. One
    that may not be looked at, another user's, is taken for a neighbour.
    """
    try:
        return os.path.samefile(Path(f"/proc/{_server_of(unix_socket)}/root", *path.parts[1:]), path)
    except PermissionError:
        return True
    except OSError:
        return False


def _server_of(unix_socket: Path) -> int:
    """The process that listens there (unix(7)); 0, whose files nobody can look at, in another process namespace."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(os.fspath(unix_socket))
        credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size)
    pid, _, _ = _PEER.unpack(credentials)
    return int(pid)


def plainest(theirs: bytes, path: bytes) -> bytes:
    """The plain ``path`` where it is the same file as ``theirs``: it holds longer than ``/proc/pid/root``."""
    try:
        return path if os.path.samefile(theirs, path) else theirs
    except OSError:
        return theirs


def engine_root(pid: int) -> Path | None:
    """Where the paths of the container's engine start: ``/``, or the root of an engine that has mounts of its own.

    The parent of process 1 (conmon, containerd's shim) lives where the engine lives. None if that process may not be
    looked at, because it is another user's.
    """
    with open(f"/proc/{pid}/stat", "rb") as file:
        parent = int(file.read().rpartition(b")")[2].split()[1])
    theirs = Path(f"/proc/{parent}/root")
    try:
        same = os.stat(f"/proc/{parent}/ns/mnt").st_ino == os.stat("/proc/self/ns/mnt").st_ino
        return Path("/") if same and os.path.samefile(theirs, "/") else theirs
    except PermissionError:
        return None
