"""Is there enough disk space? Checked before the first step, because hours later is too late.

Each function says what it found as one finished sentence, or None. What a build needs is an estimate, so nothing is
refused: people decide.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from assembler.engine.init_process import mounts_of
from assembler.model.size import human

if TYPE_CHECKING:
    from collections.abc import Iterable

    from assembler.engine.init_process import Mount
    from assembler.engine.runner import Runner

_IN_MEMORY: Final = frozenset({"tmpfs", "ramfs", "devtmpfs"})


def free_bytes(path: Path) -> int | None:
    """Free bytes for this user on the file system of ``path``, or of its next parent that exists."""
    for place in (path, *path.parents):
        try:
            status = os.statvfs(place)
        except FileNotFoundError:
            continue
        except OSError:
            return None
        return status.f_bavail * status.f_frsize
    return None


def check_engine_space(engine: Runner, needed: int) -> str | None:
    """``needed`` bytes, an estimate, on the disk where the engine keeps its containers. None also where that disk
    can't be seen."""
    free = free_bytes(engine.disk) if engine.disk else None
    if free is None or free >= 2 * needed:
        return None
    return (f"{engine.name} has {human(free)} left on its disk ({engine.info.root}); the build may need "
            f"{human(needed)} of them; imgasm clean and the engine's own system prune make room there")


def check_space_at(path: Path, needed: int, purpose: str) -> str | None:
    """``needed`` bytes, an estimate, at ``path`` for ``purpose`` ("the image"). A file system in memory is worth a
    warning anyway."""
    free = free_bytes(path)
    if free is None:
        return None
    memory = is_in_memory(path)
    if free < needed:
        kind = "is in memory (tmpfs) and has" if memory else "has"
        return (f"{path} {kind} only {human(free)} left, and {purpose} may need {human(needed)}; --output names a "
                "directory on another disk")
    if memory:
        return f"{path} is in memory (tmpfs): {purpose} takes the memory that the steps could use"
    return None


def check_container_tmp(mounts: Iterable[Mount]) -> str | None:
    """``mounts`` are the container's (:attr:`Session.mount_table`). Compilers and installers fill a /tmp in memory."""
    for mount in mounts:
        if mount.point in (b"/tmp", b"/var/tmp") and mount.kind in _IN_MEMORY:
            size = next((option.decode() for option in mount.options if option.startswith(b"size=")), "half the memory")
            return (f"the container's {mount.point.decode()} is in memory (tmpfs, {size}) and may be too small; "
                    "name it in [container] scratch to have it on a disk")
    return None


def is_in_memory(path: Path) -> bool:
    """Is ``path`` (or its next parent that exists) on a tmpfs?"""
    place = next((parent for parent in (path, *path.parents) if parent.exists()), Path("/")).resolve()
    try:
        kinds = {Path(os.fsdecode(mount.point)): mount.kind for mount in mounts_of("self")}
    except OSError:
        return False  # no /proc: not Linux
    return next((kinds[parent] for parent in (place, *place.parents) if parent in kinds), "") in _IN_MEMORY
