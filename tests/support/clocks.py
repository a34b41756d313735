"""A clock on which waiting takes no time, and which remembers how long was waited."""

from __future__ import annotations

import threading

from assembler.registry.retry import Clock


class FakeTime:
    def __init__(self, wall: float = 1_800_000_000.0) -> None:
        self.now = 0.0
        self.pauses: list[float] = []
        self._wall = wall
        self._lock = threading.Lock()

    def sleep(self, seconds: float) -> None:
        with self._lock:
            self.now += seconds
            self.pauses.append(seconds)

    @property
    def clock(self) -> Clock:
        return Clock(lambda: self.now, lambda: self._wall + self.now, self.sleep, lambda: 0.5)
