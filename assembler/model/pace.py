"""Streams that must not take for ever: a server that drips is as good as one that is silent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

_WINDOW: Final = 120.0
"""Seconds."""
_LEAST: Final = 100.0
"""Bytes per second, on average over a window: a thousandth of what the slowest line in use gives."""


class TooSlow(Exception):
    """It says what came, and in which time."""


def paced(pieces: Iterable[bytes], now: Callable[[], float], most: float | None = None) -> Iterator[bytes]:
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
        if time - mark >= _WINDOW:
            if count < _LEAST * (time - mark):
                raise TooSlow(f"{count} bytes came in {time - mark:.0f} s")
            mark, count = time, 0
