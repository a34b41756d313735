"""Holds a build against its budget, and says who broke it.

Pure: a record and limits go in, findings come out. What a budget limits but nobody could measure is a finding too: a
limit that is silently not held is worse than none.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from assembler.model.size import human
from assembler.report.build_record import Violation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from assembler.model.budget import Budget
    from assembler.report.build_record import BuildRecord, ImageReport
    from assembler.report.file_table import FileRow

    Matching = Callable[[str], Callable[[str], object]]
    """Makes of a glob the function that says whether a path (with leading slash) matches."""

_CULPRITS: Final = 3


@dataclass(frozen=True, slots=True)
class Baseline:
    """What an image is compared with; sizes are compressed bytes. ``image`` has the details where there are any."""

    name: str
    layer: int
    whole: int
    image: ImageReport | None = None

    @classmethod
    def of_image(cls, name: str, image: ImageReport) -> Baseline:
        return cls(name, image.layer.compressed, image.compressed, image)


def _violation(
    image: ImageReport, what: str, limit: int, actual: int | None, culprits: tuple[str, ...] = ()
) -> Violation:
    return Violation(image=image.name, what=what, limit=limit, actual=actual, culprits=culprits)


def check(
    record: BuildRecord,
    image: ImageReport,
    budget: Budget,
    matching: Matching,
    baseline: Baseline | None = None,
) -> list[Violation]:
    """All broken limits of ``image``, in the order of :class:`~assembler.model.budget.Budget`'s fields."""
    found = [*_sizes(record, image, budget), *_paths(record, image, budget, matching), *_peak(record, image, budget)]
    if budget.growth and baseline:
        found += _growth(record, image, budget, baseline)
    return found


def _sizes(record: BuildRecord, image: ImageReport, budget: Budget) -> Iterator[Violation]:
    sizes = [*(layer.uncompressed for layer in image.base), image.layer.uncompressed]
    known = [size for size in sizes if size is not None]
    unpacked = sum(known) if len(known) == len(sizes) else None
    limits: tuple[tuple[str, int | None, int | None], ...] = (
        ("the layer, compressed,", budget.layer, image.layer.compressed),
        ("the layer, unpacked,", budget.layer_unpacked, image.layer.uncompressed),
        ("the image, compressed,", budget.image, image.compressed),
        ("the image, unpacked,", budget.image_unpacked, unpacked),
    )
    for what, limit, actual in limits:
        if limit is not None and (actual is None or actual > limit):
            yield _violation(image, what, limit, actual, _largest(record, image))


def _largest(record: BuildRecord, image: ImageReport) -> tuple[str, ...]:
    """The step that wrote most of the layer, and the largest files."""
    steps = sorted(image.steps, key=lambda step: -step[1].bytes)[:1]
    return (
        *(f"{human(tally.bytes)} of it {_written(record, step)}" for step, tally in steps),
        *(_file_line(record, heavy.path, heavy.bytes, heavy.steps[0][0]) for heavy in image.files[:_CULPRITS]),
    )


def _paths(record: BuildRecord, image: ImageReport, budget: Budget, matching: Matching) -> Iterator[Violation]:
    for glob, limit in budget.paths:
        if image.table is None:
            yield _violation(image, glob, limit, None)
            continue
        matches = matching(glob)
        rows = [row for row in image.table.rows() if matches(row.path)]
        actual = sum(row.size for row in rows)
        if actual > limit:
            yield _violation(image, glob, limit, actual, _files(record, rows))


def _files(record: BuildRecord, rows: Iterable[FileRow]) -> tuple[str, ...]:
    largest = sorted(rows, key=lambda row: (-row.size, row.path))[:_CULPRITS]
    return tuple(_file_line(record, row.path, row.size, row.step) for row in largest)


def _peak(record: BuildRecord, image: ImageReport, budget: Budget) -> Iterator[Violation]:
    if budget.peak is None:
        return
    what = "the build's peak on disk"
    if not record.steps or any(step.peak is None for step in record.steps):
        yield _violation(image, what, budget.peak, None)
        return
    peak, step = max(((step.peak or 0, step) for step in record.steps), key=lambda pair: pair[0])
    if peak > budget.peak:
        kept = f"{human(step.layer or 0)} in the layer and {human(step.scratch or 0)} on scratch after it"
        gone = f"{human(step.transient or 0)} written and deleted again within it"
        yield _violation(image, what, budget.peak, peak, (f"{step.name} reached it: {kept}", gone))


def _growth(record: BuildRecord, image: ImageReport, budget: Budget, baseline: Baseline) -> Iterator[Violation]:
    assert budget.growth is not None
    pairs = (("the layer", baseline.layer, image.layer.compressed), ("the image", baseline.whole, image.compressed))
    for what, before, now in pairs:
        allowed = budget.growth.allowed(before)
        if now > allowed:
            told = f"{what}, {human(now - before)} more than {human(before)} in {baseline.name},"
            yield _violation(image, told, allowed, now, grown(record, image, baseline.image))


def grown(record: BuildRecord, image: ImageReport, before: ImageReport | None) -> tuple[str, ...]:
    """The files that grew most since ``before``, new ones among them; the largest where there is nothing to compare."""
    if before is None or before.table is None or image.table is None:
        return _largest(record, image)
    former = Counter({row.path: row.size for row in before.table.rows()})
    gains = ((row.size - former[row.path], row) for row in image.table.rows())
    most = sorted((gain for gain in gains if gain[0] > 0), key=lambda gain: (-gain[0], gain[1].path))[:_CULPRITS]
    return tuple(
        f"{human(gain)} {'more in' if row.path in former else 'for'} {row.path}, {_written(record, row.step)}"
        for gain, row in most
    )


def _file_line(record: BuildRecord, path: str, size: int, step: int | None) -> str:
    return f"{human(size)} {path}, {_written(record, step)}"


def _written(record: BuildRecord, step: int | None) -> str:
    return "there before the first step" if step is None else f"written by {record.step_name(step)}"
