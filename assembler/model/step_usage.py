"""What a build costs on disk, as measured. All sizes are bytes, all times seconds."""

from __future__ import annotations

from dataclasses import dataclass, field, replace


@dataclass(frozen=True, slots=True)
class StepUsage:
    """One step's cost. A value that this engine can't show is None, never a guess.

    ``layer``     apparent bytes in the writable layer after the step
    ``added``     bytes of files that are new or were written again in this step: what a Dockerfile's RUN layer of this
                  step would hold, uncompressed
    ``removed``   bytes of files of earlier steps that are gone, or were replaced, after this step
    ``peak``      the most that the writable layer and scratch were seen to hold during the step: a lower bound
    ``transient`` written and deleted again within the step, as far as the peak shows it (a lower bound)
    ``scratch``   bytes on the scratch volumes after the step
    ``scratch_added``  what ``added`` is for the layer: a Dockerfile, which has no scratch, would keep these bytes too
    ``curve``     what layer and scratch were seen to hold at equal distances during the step
    ``at``        when it began, in seconds since 1970
    ``free_min``  free bytes on the engine's whole disk at its lowest during the step, whoever wrote there
    """

    name: str
    seconds: float
    layer: int | None
    added: int | None = None
    removed: int | None = None
    peak: int | None = None
    transient: int | None = None
    scratch: int | None = None
    free_min: int | None = None
    scratch_added: int | None = None
    curve: tuple[int, ...] = ()
    at: float | None = None

    def after(self, failed: StepUsage) -> StepUsage:
        """The cost of both attempts, this one and the ``failed`` one before it."""
        return replace(
            self,
            seconds=failed.seconds + self.seconds,
            added=_total(failed.added, self.added),
            removed=_total(failed.removed, self.removed),
            scratch_added=_total(failed.scratch_added, self.scratch_added),
            peak=max(filter(None, (failed.peak, self.peak)), default=None),
            transient=max(filter(None, (failed.transient, self.transient)), default=self.transient),
            free_min=min(filter(None, (failed.free_min, self.free_min)), default=None),
            curve=(*failed.curve, *self.curve),
        )


def is_older(usage: StepUsage, age: float | None, now: float) -> bool:
    """Whether the step ran longer ago than ``age`` (seconds; None is any), or nobody knows when."""
    return age is not None and (usage.at is None or now - usage.at > age)


def _total(one: int | None, other: int | None) -> int | None:
    return None if one is None or other is None else one + other


@dataclass(frozen=True, slots=True)
class Measurements:
    """What is known of the steps so far, to be gone on with in another process.

    ``writers`` tells by its path which step wrote what is in the container, ``discarded`` (writer, remover, bytes).
    Steps are positions, None before the first; paths are as Latin-1 reads their bytes.
    """

    usages: tuple[StepUsage, ...] = ()
    discarded: tuple[tuple[int | None, int, int], ...] = ()
    writers: dict[str, int | None] = field(default_factory=dict)
