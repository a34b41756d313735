"""``imgasm clean``: what killed builds left in the engine, in the cache and in layouts."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Final

from assembler.commands.kept_builds import KeptBuilds
from assembler.engine.container import KEPT
from assembler.engine.host.clean import abandoned_work, unused_bases
from assembler.engine.unmount import detach
from assembler.errors import UsageError
from assembler.image.layout import Layout
from assembler.image.layout_cache import tidy
from assembler.locks import abandoned, mounts_below, work_directories
from assembler.model.size import human
from assembler.model.timestamp import ago
from assembler.places.world import HOST

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from assembler.engine.leftovers import Leftover
    from assembler.engine.runner import Runner
    from assembler.places.world import World

_FORMER: Final = ("making-*/", "scratch-*/")
"""What imgasm 0.1 worked in. Nothing tells whose such a directory is but what its processes have open."""


def clean_engine(engine: Runner, world: World, *, every: bool = False, kept: bool = False) -> list[str]:
    """One line for each container or image that was removed; scratch volumes go with their containers.

    Builds that still run are left alone; ``every`` also takes what another machine's imgasm made. Containers that were
    kept are told of, and removed with ``kept`` if nobody works in them.
    """
    builds = KeptBuilds(world.kept)

    def goes(build: str) -> bool:
        try:
            with builds.alone(build):
                return kept
        except UsageError:
            return False

    done = engine.remove_leftovers(goes, every=every)
    for leftover in done.kept:
        if leftover.name.startswith(KEPT):
            age = ago(world.clock.wall() - leftover.created.timestamp())
            world.progress.say(f"{_line(leftover)} {age} ago; imgasm clean --kept removes it")
    there = {leftover.build for leftover in done.kept}
    for one in list(builds.all()):
        here = (one.engine, one.engine_root) == (engine.name, str(engine.info.root))
        if one.build not in there and (here or not Path(one.engine_root).exists()):
            builds.remove(one.build)
    return [_line(leftover) for leftover in done.removed]


def _line(leftover: Leftover) -> str:
    return f"{leftover.kind} {leftover.name} of build {leftover.build}: {leftover.why}"


def clean_cache(cache: Path) -> list[str]:
    """One line for each thing that was removed, with its size. What a living process may use is left alone."""
    lines = []
    for folder in (cache, cache / "bases", cache / "archives", cache / "checkpoints"):
        for path in work_directories(folder):
            with abandoned(path) as is_abandoned:
                lines += _remove(path) if is_abandoned else []
        for path in (path for pattern in _FORMER for path in sorted(folder.glob(pattern))):
            lines += _remove(path) if not _is_open(path) else []
    lines += _removed(abandoned_work(cache / HOST))
    for index in sorted(cache.glob("bases/*/index.json")):
        if freed := tidy(index.parent):
            lines.append(f"{index.parent}: {human(freed)} that no base needs any more")
    return lines


def clean_bases(cache: Path) -> list[str]:
    """One line for each base that was unpacked for the engine host, and that nobody uses now."""
    return list(_removed(unused_bases(cache / HOST)))


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


def _removed(going: Iterable[tuple[Path, str]]) -> Iterator[str]:
    for path, why in going:
        yield f"{path}: {human(sum(_sizes(path)))}, {why}"


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
