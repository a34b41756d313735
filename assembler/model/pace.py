"""Streams that must not take for ever: a server that drips is as good as one that is silent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator


@dataclass(frozen=True, slots=True)
class Pace:
    """How slow a server may be.

    ``least``   bytes per second, on average over a window: a thousandth of what the slowest line in use gives
    ``window``  seconds
    ``whole``   seconds until the head of an answer is there, and for an answer that is read into memory
    """

    least: float = 100.0
    window: float = 120.0
    whole: float = 300.0

    def longest(self, amount: int) -> float:
        """Seconds that so many bytes may take."""
        return max(self.window, amount / self.least)


class TooSlow(Exception):
    """It says what came, and in which time."""


def paced(pieces: Iterable[bytes], now: Callable[[], float], pace: Pace, most: float | None = None) -> Iterator[bytes]:
    """The same pieces. Raises :class:`TooSlow` where they come more slowly than any line in use brings them, or where
    all of them take longer than ``most`` seconds. ``now`` counts seconds."""
    begin = mark = now()
    count = 0
    for piece in pieces:
        yield piece
        count += len(piece)
        time = now()
        if most is not None and time - begin > most:
            raise TooSlow(f"the answer took longer than {most:.0f} s")
        if time - mark >= pace.window:
            if count < pace.least * (time - mark):
                raise TooSlow(f"{count} bytes came in {time - mark:.0f} s")
            mark, count = time, 0
