"""``imgasm clean``: what killed builds left in the engine, in the cache and in layouts."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Final

from assembler.engine.leftovers import remove_leftovers
from assembler.engine.unmount import detach
from assembler.image.layout import Layout
from assembler.image.layout_cache import tidy
from assembler.locks import abandoned, mounts_below, work_directories
from assembler.model.size import human

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from assembler.engine.client import Engine

_FORMER: Final = ("making-*/", "scratch-*/")
"""What imgasm 0.1 worked in. Nothing tells whose such a directory is but what its processes have open."""


def clean_engine(engine: Engine, *, every: bool = False) -> list[str]:
    """One line for each container or image that was removed; scratch volumes go with their containers.

    Builds that still run are left alone; ``every`` also takes what another machine's imgasm made.
    """
    removed = remove_leftovers(engine, every=every).removed
    return [f"{leftover.kind} {leftover.name} of build {leftover.build}: {leftover.why}" for leftover in removed]


def clean_cache(cache: Path) -> list[str]:
    """One line for each thing that was removed, with its size. What a living process may use is left alone."""
    lines = []
    for folder in (cache, cache / "bases", cache / "archives"):
        for path in work_directories(folder):
            with abandoned(path) as is_abandoned:
                lines += _remove(path) if is_abandoned else []
        for path in (path for pattern in _FORMER for path in sorted(folder.glob(pattern))):
            lines += _remove(path) if not _is_open(path) else []
    for index in sorted(cache.glob("bases/*/index.json")):
        if freed := tidy(index.parent):
            lines.append(f"{index.parent}: {human(freed)} that no base needs any more")
    return lines


def clean_layouts(layouts: Sequence[Path]) -> list[str]:
    """One line for each layout that had blobs which no image in it needs, or that is left alone because it is being
    written to."""
    lines = []
    for root in layouts:
        freed = Layout.open(root).remove_unreferenced_if_unused()
        if freed is None:
            lines.append(f"{root}: left alone, because a build writes to it")
        elif freed:
            lines.append(f"{root}: {human(freed)} that no image in it needs any more")
    return lines


def _remove(path: Path) -> list[str]:
    points = mounts_below(path)
    detach(points)
    size = sum(_sizes(path))
    shutil.rmtree(path)
    mounted = f", with {len(points)} mounts in it" if points else ""
    return [f"{path}: {human(size)}{mounted}, its build is gone"]


def _sizes(directory: Path) -> Iterator[int]:
    for parent, _, names in os.walk(directory):
        for name in names:
            yield os.lstat(os.path.join(parent, name)).st_size


def _is_open(directory: Path) -> bool:
    """Whether a process has something open there, or works there (proc(5))."""
    real = f"{directory.resolve()}/"
    for process in Path("/proc").glob("[0-9]*"):
        for name in ("cwd", "root", "fd"):
            try:
                links = list((process / name).iterdir()) if name == "fd" else [process / name]
                if any(f"{os.readlink(link)}/".startswith(real) for link in links):
                    return True
            except OSError:
                continue  # it ended, or is another user's, who has nothing to do in this cache
    return False
