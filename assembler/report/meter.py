"""What each step of a build costs on disk.

How honest the figures are:

* ``layer``, ``added``, ``removed`` and ``scratch`` are counted from the files themselves, in apparent bytes: what a tar
  of them would hold. They are exact for a container that is quiet between two steps.
* ``free_min`` is what the file system says, every 0.1 s.
* ``peak`` is an estimate: what was there before the step, and how far the disk's free space fell during it. Whatever
  else writes to that disk in the meantime is taken for the step's, what else frees space hides it, and a file that
  lived for less than a tenth of a second, or was smaller on disk than it looks (holes, a compressing file system), is
  seen not at all or smaller. It is never below what was counted before and after the step.
* ``transient`` follows from ``peak``, and is as rough.

Through a remote engine nothing but ``layer`` can be seen, as the engine counts it.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Event, Thread
from typing import TYPE_CHECKING, Final

from assembler.model.usage import StepUsage
from assembler.report.survey import Change, Survey

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

_INTERVAL: Final = 0.1
_POINTS: Final = 40
"""Of one step's curve: more can't be told apart in a picture."""


@dataclass(slots=True)
class Measured:
    """Filled in when the step has ended, also when it failed."""

    usage: StepUsage | None = None


class Meter:
    """``upper``      the overlay's upper directory, None where the engine's files can't be read
    ``scratch``    the scratch volumes' directories on this machine, by their path in the container
    ``disk``       any path on the engine's disk, None where it can't be asked
    ``clock``      seconds, of any origin (``time.monotonic``)
    ``size_rw``    asks the engine for the writable layer's bytes; used only without ``upper``
    """

    def __init__(
        self,
        upper: Path | None,
        scratch: Mapping[str, Path],
        disk: Path | None,
        clock: Callable[[], float],
        size_rw: Callable[[], int | None] = lambda: None,
    ) -> None:
        self._upper = Survey(upper) if upper else None
        self._scratch = [Survey(path) for path in scratch.values()]
        self._disk, self._clock, self._size_rw = disk, clock, size_rw
        self.usages: list[StepUsage] = []
        self.discarded: dict[tuple[int | None, int], int] = {}
        """Bytes that one step wrote and a later one deleted or replaced, by the two steps' positions (None: what was
        there before the first)."""

    @contextmanager
    def step(self, name: str) -> Iterator[Measured]:
        measured = Measured()
        before, start = self._held(), self._clock()
        with _Lowest(self._disk) as lowest:
            try:
                yield measured
            finally:
                seconds = self._clock() - start
                measured.usage = self._settle(name, seconds, before, lowest)

    def _settle(self, name: str, seconds: float, before: int, lowest: _Lowest) -> StepUsage:
        lowest.look()
        index = len(self.usages)
        change = self._upper.commit(index) if self._upper else None
        scratch_added = sum(survey.commit(index).added for survey in self._scratch)
        usage = self._usage(name, seconds, before, change, scratch_added, lowest)
        self.usages.append(usage)
        if change:
            self.discarded.update({(writer, index): size for writer, size in change.discarded.items()})
        return usage

    def _usage(
        self, name: str, seconds: float, before: int, change: Change | None, scratch_added: int, lowest: _Lowest
    ) -> StepUsage:
        if self._upper is None or change is None:
            return StepUsage(name, seconds, self._size_rw(), free_min=lowest.free)
        ends = max(before, self._held())
        peak = max(ends, before + lowest.fall)
        return StepUsage(
            name,
            seconds,
            layer=self._upper.size,
            added=change.added,
            removed=change.removed,
            peak=peak,
            transient=peak - ends,
            scratch=sum(survey.size for survey in self._scratch),
            free_min=lowest.free,
            scratch_added=scratch_added,
            curve=tuple(max(0, before + fall) for fall in lowest.curve()),
        )

    def _held(self) -> int:
        return (self._upper.size if self._upper else 0) + sum(survey.size for survey in self._scratch)

    def step_of(self, path: bytes) -> int | None:
        """The position of the step that wrote ``path`` last; None if it was there before the first, or unseen."""
        return self._upper.step_of(path) if self._upper else None


class _Lowest:
    """Watches a disk's free bytes from a thread of its own. ``fall`` is how far they went below the first look's."""

    def __init__(self, disk: Path | None) -> None:
        self._disk = disk
        self._stop = Event()
        self._thread = Thread(target=self._watch, name="imgasm-disk", daemon=True)
        self._seen: list[int] = []
        self.look()

    @property
    def free(self) -> int | None:
        return min(self._seen, default=None)

    @property
    def fall(self) -> int:
        return max(self.curve(), default=0)

    def curve(self) -> list[int]:
        """How far the disk's free space was below the first look's, at equal distances; the worst of each stretch."""
        stretch = max(1, -(-len(self._seen) // _POINTS))
        parts = (self._seen[start : start + stretch] for start in range(0, len(self._seen), stretch))
        return [self._seen[0] - min(part) for part in parts]

    def __enter__(self) -> _Lowest:
        if self._seen:
            self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(_INTERVAL):
            self.look()

    def look(self) -> None:
        if self._disk is None:
            return
        try:
            status = os.statvfs(self._disk)
        except OSError:
            return
        self._seen.append(status.f_bavail * status.f_frsize)
