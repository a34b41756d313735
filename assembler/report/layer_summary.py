"""From a layer's entries to what a report says of it: totals by kind and step, the largest directories and files."""

from __future__ import annotations

import heapq
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

from assembler.report.build_record import Heavy, Tally
from assembler.report.record_part import path_text

if TYPE_CHECKING:
    from collections.abc import Iterable

LayerFile = tuple[bytes, str, int, int | None]
"""(path, kind, bytes of content, position of the step that wrote it last) of one entry of the layer. Hard links and
whiteouts have no bytes."""

_DOMINATED: Final = 0.9
"""A directory that has this share of its bytes in one directory below it says nothing that the one below does not."""


class Summary(NamedTuple):
    """``content`` is the bytes of all files; the rest as in :class:`~assembler.report.build_record.ImageReport`."""

    content: int
    kinds: dict[str, int]
    steps: tuple[tuple[int | None, Tally], ...]
    directories: tuple[Heavy, ...]
    files: tuple[Heavy, ...]


def summary(entries: Iterable[LayerFile], largest: int = 20) -> Summary:
    """What a layer's ``entries``, which are read once, add up to, with its ``largest`` directories and files.

    Memory grows with the number of directories, not of files.
    """
    totals = SummaryBuilder(largest)
    for path, kind, size, step in entries:
        totals.add(path, kind, size, step)
    steps = tuple(totals.steps())
    return Summary(
        sum(tally.bytes for _, tally in steps),
        dict(sorted(totals.kinds.items())),
        steps,
        tuple(totals.directories()),
        tuple(totals.files()),
    )


@dataclass(slots=True)
class _Directory:
    """Bytes by step, of all files below; the largest share that one directory in it has."""

    steps: Counter[int | None] = field(default_factory=Counter)
    files: int = 0
    largest_below: int = 0


class SummaryBuilder:
    """Adds up entries one by one; what it gives is for a report."""

    def __init__(self, largest: int) -> None:
        self._largest = largest
        self._steps: dict[int | None, list[int]] = {}
        self._directories: dict[bytes, _Directory] = {}
        self._files: list[tuple[int, bytes, int | None]] = []
        self.kinds: Counter[str] = Counter()

    def add(self, path: bytes, kind: str, size: int, step: int | None) -> None:
        self.kinds[kind] += 1
        if not size:
            return
        tally = self._steps.setdefault(step, [0, 0])
        tally[0] += 1
        tally[1] += size
        directory = self._directories.setdefault(path.rpartition(b"/")[0], _Directory())
        directory.steps[step] += size
        directory.files += 1
        if len(self._files) < self._largest:
            heapq.heappush(self._files, (size, path, step))
        elif size > self._files[0][0]:
            heapq.heapreplace(self._files, (size, path, step))

    def steps(self) -> list[tuple[int | None, Tally]]:
        """In the order in which they ran; what was there before the first step comes first."""
        ordered = sorted(self._steps.items(), key=lambda item: -1 if item[0] is None else item[0])
        return [(step, Tally(files=files, bytes=size)) for step, (files, size) in ordered]

    def files(self) -> list[Heavy]:
        ordered = sorted(self._files, key=lambda file: (-file[0], file[1]))
        return [Heavy(path=path_text(path), bytes=size, steps=((step, size),)) for size, path, step in ordered]

    def directories(self) -> list[Heavy]:
        whole = _with_all_below(self._directories)
        telling = [
            Heavy(path=path_text(path), bytes=size, files=directory.files, steps=tuple(directory.steps.most_common()))
            for path, directory in whole.items()
            if directory.largest_below < _DOMINATED * (size := directory.steps.total())
        ]
        return sorted(telling, key=lambda heavy: (-heavy.bytes, heavy.path))[: self._largest]


def _with_all_below(own: dict[bytes, _Directory]) -> dict[bytes, _Directory]:
    """Every directory with the bytes of all files below it, from those with the files that stand in it."""
    whole: dict[bytes, _Directory] = {}
    for path, directory in own.items():
        while True:
            above = whole.setdefault(path, _Directory())
            above.steps += directory.steps
            above.files += directory.files
            if not path:
                break
            path = path.rpartition(b"/")[0]
    for path, directory in whole.items():
        if path:
            above = whole[path.rpartition(b"/")[0]]
            above.largest_below = max(above.largest_below, directory.steps.total())
    return whole
