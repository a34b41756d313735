"""What the build's own directories hold while a step runs, looked at now and then, at a bounded price.

Free space on the disk would be cheaper to ask for, but all who write to the disk change it. It only tells when a look
is worth its price: while it stands still, nothing was written or removed.
"""

from __future__ import annotations

import os
import time
from threading import Event, Thread
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from assembler.measure.directory_scan import DirectoryScan

_INTERVAL: Final = 0.1
"""Seconds between two looks at the disk."""
_SHARE: Final = 0.03
"""Of the step's time, that walks may take of a processor."""
_PER_ENTRY: Final = 5e-6
"""Seconds that a walk takes for each entry, until one was measured: 3.6 us on two idle cores, 25,000 entries."""
_POINTS: Final = 40
"""Of one step's curve: more can't be told apart in a picture."""


class Watch:
    """Looks at ``roots`` from a thread of its own, as long as the context lives.

    ``scans`` know what is there before anything runs. Bytes are those of regular files, hard links once. ``disk`` is
    any path on the engine's disk, None where it can't be asked. ``tell`` hears what they hold whenever it was
    counted.
    """

    def __init__(
        self, roots: Sequence[Path], disk: Path | None, scans: Sequence[DirectoryScan], tell: Callable[[int], object]
    ) -> None:
        self._roots, self._disk, self._tell = roots, disk, tell
        entries, held = sum(scan.entries for scan in scans), sum(scan.size for scan in scans)
        self._base = sum(scan.base for scan in scans)
        self._places = [*_one_for_each_disk(roots)]
        self._stop = Event()
        self._thread = Thread(target=self._watch, name="imgasm-meter", daemon=True)
        self._cost, self._spent, self._known = entries * _PER_ENTRY, 0.0, held
        self._held = [held]
        self._free: list[int] = []
        self._seen = self._used()
        self._look_at_disk()

    @property
    def free(self) -> int | None:
        """The fewest bytes that the engine's disk had left; all who write there are in it."""
        return min(self._free, default=None)

    @property
    def peak(self) -> int:
        """The most that was seen in ``roots``: never too much, and too little where something came and went unseen."""
        return max(self._held)

    def curve(self) -> list[int]:
        """What was held, at equal distances; the most of each stretch."""
        stretch = max(1, -(-len(self._held) // _POINTS))
        return [max(self._held[start : start + stretch]) for start in range(0, len(self._held), stretch)]

    def __enter__(self) -> Watch:
        self._tell(self._known)
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._stop.set()
        self._thread.join()
        self._look_at_disk()

    def _look_at_disk(self) -> None:
        status = _statvfs(self._disk) if self._disk is not None else None
        if status is not None:
            self._free.append(status.f_bavail * status.f_frsize)

    def _watch(self) -> None:
        looks = 0
        while not self._stop.wait(_INTERVAL):
            looks += 1
            self._look_at_disk()
            if self._roots and self._spent + self._cost <= _SHARE * looks * _INTERVAL:
                self._walk()
            self._held.append(self._known)

    def _walk(self) -> None:
        used = self._used()
        if used == self._seen:
            return
        start = time.thread_time()
        held = self._count()
        self._cost = time.thread_time() - start
        self._spent += self._cost
        if held is not None:
            self._known, self._seen = max(0, held - self._base), used
            self._tell(self._known)

    def _used(self) -> list[tuple[int, int]]:
        """What changes with every file that is written or removed."""
        found = map(_statvfs, self._places)
        return [(status.f_bfree, status.f_ffree) for status in found if status is not None]

    def _count(self) -> int | None:
        """Bytes in the roots now; None if the step ended meanwhile."""
        held, linked = 0, set()
        pending = [os.fspath(root) for root in self._roots]
        while pending:
            if self._stop.is_set():
                return None
            try:
                with os.scandir(pending.pop()) as entries:
                    for entry in entries:
                        if entry.is_dir(follow_symlinks=False):
                            pending.append(entry.path)
                        elif entry.is_file(follow_symlinks=False):
                            status = entry.stat(follow_symlinks=False)
                            if status.st_nlink == 1 or status.st_ino not in linked:
                                held += status.st_size
                            if status.st_nlink > 1:
                                linked.add(status.st_ino)
            except OSError:
                continue  # the step removed it just now
        return held


def _one_for_each_disk(roots: Iterable[Path]) -> Iterable[Path]:
    seen = set()
    for root in roots:
        try:
            device = os.stat(root).st_dev
        except OSError:
            continue
        if device not in seen:
            seen.add(device)
            yield root


def _statvfs(path: Path) -> os.statvfs_result | None:
    try:
        return os.statvfs(path)
    except OSError:
        return None
