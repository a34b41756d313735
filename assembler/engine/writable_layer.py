"""Where a container's writable layer is, for those who only count bytes.

Counting asks for less than reading (:mod:`assembler.engine.overlay_directories`): other owners (a user namespace),
marks of another kind (fuse-overlayfs) and a directory that has the base's files as well (vfs) change no file's size.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from assembler.engine import init_process
from assembler.engine.overlay_directories import OverlayDirs
from assembler.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from assembler.engine.session import Session


@dataclass(frozen=True, slots=True)
class Writable:
    """``whole``: the base's files are in ``directory``, too. ``enter`` runs a command that may read all of it."""

    directory: Path
    whole: bool = False
    enter: tuple[str, ...] = ()


def writable_layer(session: Session) -> Writable | None:
    """Where this machine finds the container's writable layer; None if it does not."""
    found = session.overlay()
    if isinstance(found, OverlayDirs):
        return Writable(found.upper)
    if session.pid is None:
        return None
    try:
        enter = _enter(session.pid)
        if (upper := session.container.upper()) is not None:
            return Writable(upper, enter=enter)
        directory = _copied_base(session.pid)
        return Writable(directory, whole=True, enter=enter) if directory else None
    except (EngineError, OSError):
        return None


def _seen(root: Path, path: Path) -> Path | None:
    here = root / path.relative_to("/")
    return here if os.access(here, os.R_OK | os.X_OK) else None


def _enter(pid: int) -> tuple[str, ...]:
    """An ordinary user's containers own files that only their user namespace's root may look at (setns(2))."""
    if os.geteuid() == 0:
        return ()
    return ("nsenter", "--user", "--preserve-credentials", f"--target={pid}")


def _copied_base(pid: int) -> Path | None:
    """vfs: the container's / is a plain directory, which is found by the mount that it was bound from (proc(5))."""
    root = init_process.engine_root(pid)
    if root is None:
        return None
    device, source = next((each[0], each[1]) for each in reversed([*_mounts(pid)]) if each[2] == "/")
    for other, base, point in _mounts(_parent(pid)):
        if other == device and Path(source).is_relative_to(base):
            directory = _seen(root, Path(point) / Path(source).relative_to(base))
            if directory and os.path.samestat(directory.stat(), Path(f"/proc/{pid}/root/").stat()):
                return directory
    return None


def _mounts(pid: int) -> Iterator[tuple[str, str, str]]:
    """The device, the directory on it that is mounted, and where."""
    with open(f"/proc/{pid}/mountinfo", "rb") as file:
        for line in file.read().split(b"\n")[:-1]:
            _, _, device, root, point, *_ = (os.fsdecode(init_process.unescape(part)) for part in line.split(b" "))
            yield device, root, point


def _parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[1])
