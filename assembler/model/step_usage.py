"""What a build costs on disk, as measured. All sizes are bytes, all times seconds."""

from __future__ import annotations

from dataclasses import dataclass


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
