"""Figures of several rounds, and imgasm's ratios to its peers, each of one round: the machine's moods cancel out."""

from __future__ import annotations

import statistics
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from benchmarks.contenders import Contender
    from benchmarks.measure import Run
    from benchmarks.trees import Tree


@dataclass(frozen=True, slots=True)
class Spread:
    minimum: float
    median: float
    maximum: float

    @classmethod
    def of(cls, values: Iterable[float]) -> Spread:
        found = list(values)
        return cls(min(found), statistics.median(found), max(found))


@dataclass(frozen=True, slots=True)
class Results:
    """One contender on one tree. ``seconds`` is what the work of each run took, ``blobs`` the layer in bytes."""

    runs: list[Run] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    blobs: list[int] = field(default_factory=list)

    def add(self, run: Run, seconds: float, blob: int) -> None:
        self.runs.append(run)
        self.seconds.append(seconds)
        self.blobs.append(blob)

    def figures(self) -> dict[str, Any]:
        return {
            "seconds": asdict(Spread.of(self.seconds)),
            "process_seconds": asdict(Spread.of(run.process_seconds for run in self.runs)),
            "processor_seconds": asdict(Spread.of(run.processor_seconds for run in self.runs)),
            "memory": max(run.memory for run in self.runs),
            "blob": self.blobs[0],
            # What lay on the disk at some time beyond what is there in the end.
            "temporary": max(run.disk - run.left for run in self.runs),
            "runs": self.seconds,
        }


def of_tree(tree: Tree, results: dict[Contender, Results]) -> dict[str, Any]:
    """All that is told of one tree, ready for JSON. Ratios are imgasm's figure by the peer's: below 1 is less."""
    by_name = {contender.name: found for contender, found in results.items()}
    ratios = []
    for contender, found in results.items():
        ours = by_name.get(contender.rival)
        if ours is None or ours is found:
            continue
        pairs = zip(ours.seconds, found.seconds, strict=True)
        ratios.append({
            "ours": contender.rival,
            "peer": contender.name,
            "seconds": asdict(Spread.of(our / their for our, their in pairs)),
            "blob": ours.blobs[0] / found.blobs[0],
        })
    return {
        "tree": tree.name,
        "entries": tree.entries,
        "bytes": tree.bytes,
        "contenders": {name: found.figures() for name, found in by_name.items()},
        "ratios": ratios,
    }
