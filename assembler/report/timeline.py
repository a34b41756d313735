"""Where the steps of a build lie on a line of time, and what was on the disk along it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from assembler.model.step_usage import StepUsage

_NARROWEST: Final = 14.0
"""Pixels of the shortest step: seconds in a build of minutes would not be seen."""


@dataclass(frozen=True, slots=True)
class StepSpan:
    """One step from pixel ``start`` to ``end``; ``before`` and ``after`` are the layer's bytes, ``curve`` is (pixel,
    bytes in layer and scratch), ``peak`` is (bytes, pixel)."""

    start: float
    end: float
    before: int
    after: int
    curve: tuple[tuple[float, int], ...]
    peak: tuple[int, float]


def spans(steps: Sequence[StepUsage], left: float, width: float) -> list[StepSpan]:
    """The steps side by side over ``width`` pixels, as wide as they took long but for the shortest."""
    found: list[StepSpan] = []
    before, held = _start(steps), _start(steps)
    for step, pixels in zip(steps, _widths([step.seconds for step in steps], width), strict=True):
        after = step.layer or 0
        span = _span(step, left, left + pixels, before, held)
        found.append(span)
        left, before, held = span.end, after, after + (step.scratch or 0)
    return found


def _start(steps: Sequence[StepUsage]) -> int:
    """The layer before the first step: what the engine, and the recipe's files, had put there."""
    first = steps[0] if steps else None
    if first is None or first.layer is None or first.added is None or first.removed is None:
        return 0
    return max(0, first.layer - first.added + first.removed)


def _span(step: StepUsage, start: float, end: float, before: int, held: int) -> StepSpan:
    after = step.layer or 0
    inner = step.curve or ((step.peak,) if step.peak is not None else ())
    stretch = (end - start) / max(1, len(inner))
    curve = [(start, held), *((start + stretch * (number + 0.5), value) for number, value in enumerate(inner))]
    curve.append((end, after + (step.scratch or 0)))
    highest = max(curve, key=lambda point: point[1])
    return StepSpan(start, end, before, after, tuple(curve), (highest[1], highest[0]))


def _widths(seconds: Sequence[float], width: float) -> list[float]:
    """Proportional, but for those that would be narrower than can be seen: the others make room for them."""
    narrowest = min(_NARROWEST, width / max(1, len(seconds)))
    whole = sum(seconds)
    short = [each * width / whole <= narrowest if whole else True for each in seconds]
    rest = sum(each for each, is_short in zip(seconds, short, strict=True) if not is_short)
    room = width - narrowest * sum(short)
    if not rest:
        return [width / len(seconds) for _ in seconds]
    return [narrowest if is_short else each * room / rest for each, is_short in zip(seconds, short, strict=True)]


def ticks(top: int) -> list[int]:
    """Round numbers of bytes from 0 to ``top``: three to six of them."""
    step = 1
    while top / step > 5:
        step = step * 5 // 2 if str(step)[0] == "2" else step * 2
    return list(range(0, top + 1, step))
