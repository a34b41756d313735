"""What each step of a build costs on disk.

How honest the figures are:

* ``layer``, ``added``, ``removed`` and ``scratch`` are counted from the files themselves, in apparent bytes: what a tar
  of them would hold. They are exact for a container that is quiet between two steps.
* ``peak`` is the most that was seen in the build's own directories, by looks that together take at most 3 % of a
  processor: every 1.5 s in a tree of 10,000 files, every minute in one of 400,000. It is a lower bound: what was
  written and deleted between two looks, or deleted while a program still had it open, is not in it. What others write
  to the same disk never is. It is not below what was counted before and after the step.
* ``transient`` and ``curve`` follow from ``peak``'s looks.
* ``free_min`` is what the file system says, every 0.1 s: the whole disk's, with all who write to it.

Through a remote engine nothing but ``layer`` can be seen, as the engine counts it.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from assembler.measure.directory_scan import DirectoryChange, DirectoryScan
from assembler.measure.peak_watch import Watch
from assembler.model.step_usage import Measurements, StepUsage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

@dataclass(slots=True)
class Measured:
    """Filled in when the step has ended, also when it failed."""

    usage: StepUsage | None = None


@dataclass(frozen=True, slots=True)
class Directories:
    """Where a build's bytes are, as this machine sees it.

    ``upper``      the container's writable layer, None where it can't be read here
    ``whole``      ``upper`` has the base's files in it, too (a storage driver that copies: vfs)
    ``scratch``    the scratch volumes, by their path in the container
    ``disk``       any path on the engine's disk, None where it can't be asked
    ``caches``     volumes that other builds use as well, by their path in the container
    ``enter``      the beginning of a command line that looks where this user may not (:class:`DirectoryScan`)
    """

    upper: Path | None = None
    whole: bool = False
    scratch: Mapping[str, Path] = field(default_factory=dict)
    disk: Path | None = None
    enter: tuple[str, ...] = ()
    caches: Mapping[str, Path] = field(default_factory=dict)


class Meter:
    """``clock`` tells seconds, of any origin (``time.monotonic``).

    ``size_rw`` asks the engine for the writable layer's bytes; used only where ``upper`` can't be read. ``former`` is
    what another meter measured of the same container before.
    """

    def __init__(
        self,
        directories: Directories,
        clock: Callable[[], float],
        size_rw: Callable[[], int | None] = lambda: None,
        former: Measurements | None = None,
    ) -> None:
        upper, enter = directories.upper, directories.enter
        former = former or Measurements()
        self._upper = (DirectoryScan(upper, with_base=directories.whole, enter=enter, writers=former.writers)
                       if upper else None)
        self._scratch = [DirectoryScan(path, enter=enter) for path in directories.scratch.values()]
        self._roots = [*([upper] if upper else []), *directories.scratch.values()]
        self._caches = directories.caches
        self._disk, self._clock, self._size_rw = directories.disk, clock, size_rw
        self.usages = list(former.usages)
        self.discarded = {(writer, remover): size for writer, remover, size in former.discarded}
        """Bytes that one step wrote and a later one deleted or replaced, by the two steps' positions (None: what was
        there before the first)."""

    @property
    def measurements(self) -> Measurements:
        discarded = tuple((writer, remover, size) for (writer, remover), size in self.discarded.items())
        return Measurements(tuple(self.usages), discarded, self._upper.writers if self._upper else {})

    @contextmanager
    def step(
        self, name: str, failed: StepUsage | None = None, tell: Callable[[int], object] = int
    ) -> Iterator[Measured]:
        """``failed`` is what an attempt before this one cost. ``tell`` hears now and then, from another thread, what
        the build's directories hold, in bytes."""
        measured = Measured()
        watch = Watch(self._roots, self._disk, self._scans(), tell)
        before, start = self._held(), self._clock()
        try:
            with watch:
                yield measured
        finally:
            measured.usage = self._settle(name, self._clock() - start, before, watch)
            if failed is not None:
                measured.usage = self.usages[-1] = measured.usage.after(failed)

    def _settle(self, name: str, seconds: float, before: int, watch: Watch) -> StepUsage:
        index = len(self.usages)
        change = self._upper.commit(index) if self._upper else None
        scratch = [scan.commit(index) for scan in self._scratch]
        usage = self._usage(StepUsage(name, seconds, None, free_min=watch.free), change, scratch)
        if change is not None:
            usage = self._with_peak(usage, before, watch)
            for writer, size in change.discarded.items():
                if writer != index:  # else an attempt that failed wrote it
                    self.discarded[writer, index] = self.discarded.get((writer, index), 0) + size
        self.usages.append(usage)
        return usage

    def _usage(self, usage: StepUsage, change: DirectoryChange | None, scratch: list[DirectoryChange]) -> StepUsage:
        """Scratch is a volume, which can often be read where the writable layer can't."""
        if scratch or self._upper is not None:
            usage = replace(usage, scratch=sum(scan.size for scan in self._scratch),
                            scratch_added=sum(each.added for each in scratch))  # fmt: skip
        if self._upper is None or change is None:
            return replace(usage, layer=self._size_rw())
        return replace(usage, layer=self._upper.size, added=change.added, removed=change.removed)

    def _with_peak(self, usage: StepUsage, before: int, watch: Watch) -> StepUsage:
        ends = max(before, self._held())
        peak = max(ends, watch.peak)
        return replace(usage, peak=peak, transient=peak - ends, curve=tuple(watch.curve()))

    def _scans(self) -> list[DirectoryScan]:
        return [*([self._upper] if self._upper else []), *self._scratch]

    def _held(self) -> int:
        return sum(scan.size for scan in self._scans())

    @property
    def cache_sizes(self) -> dict[str, int]:
        """Bytes that the caches hold now, by their path in the container; without those that can't be read here."""
        return {path: DirectoryScan(directory).size for path, directory in self._caches.items()}

    @property
    def unseen(self) -> int:
        """How many directories of the container could not be read here, so that no figure has their bytes."""
        return sum(len(scan.unseen) for scan in self._scans())

    def step_of(self, path: bytes) -> int | None:
        """The position of the step that wrote ``path`` last; None if it was there before the first, or unseen."""
        return self._upper.step_of(path) if self._upper else None
