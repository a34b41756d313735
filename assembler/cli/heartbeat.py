"""A sign of life on long work where no bar can be drawn: a log or a CI system ends what is silent for too long."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from assembler.model.size import human

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_SELDOM: Final = 60.0
"""Seconds."""


class RunningTask:
    """A :class:`assembler.progress.Task` that remembers how far it is."""

    def __init__(self, label: str, total: int | None, unit: str) -> None:
        self._label = label
        self._total = total
        self._unit = unit
        self._done = 0
        self._note = ""
        self._held = 0
        self._began = time.monotonic()
        self._lock = threading.Lock()

    def advance(self, amount: int) -> None:
        with self._lock:
            self._done += amount

    def note(self, text: str) -> None:
        self._note = text.strip() or self._note

    def holds(self, size: int) -> None:
        self._held = size

    def __str__(self) -> str:
        """``[1/3] toolchain: 90 s, 595 MB on disk, 812 lines: Unpacking gcc``, ``pushing: 30 s, 120 MB of 1.20 GB``."""
        done = human(self._done) if self._unit == "B" else f"{self._done} {self._unit}"
        whole = f" of {human(self._total)}" if self._total and self._unit == "B" else ""
        told = f", {done}{whole}" if self._done or whole else ""
        held = f", {human(self._held)} on disk" if self._held else ""
        note = f": {self._note}" if self._note else ""
        return f"{self._label}: {time.monotonic() - self._began:.0f} s{held}{told}{note}"


class Heartbeat:
    """``tell`` gets a line about the outermost work that goes on: after ``first`` seconds, then ever less often."""

    def __init__(self, tell: Callable[[str], None], first: float = 5.0) -> None:
        self._tell = tell
        self._first = first
        self._works = 0
        self._lock = threading.Lock()

    @contextmanager
    def beside(self, work: RunningTask) -> Iterator[None]:
        over = threading.Event()
        if self._count(1) == 1:
            threading.Thread(target=self._beat, args=(work, over), daemon=True).start()
        try:
            yield
        finally:
            over.set()
            self._count(-1)

    def _count(self, more: int) -> int:
        with self._lock:
            self._works += more
            return self._works

    def _beat(self, work: RunningTask, over: threading.Event) -> None:
        pause = self._first
        while not over.wait(pause):
            self._tell(str(work))
            pause = min(2 * pause, _SELDOM)
