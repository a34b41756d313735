"""What may be tried again, how often and when.

One :class:`Patience` is shared by all threads that talk with one registry, so that a Retry-After holds for all of them.
Nothing here nests: a move that has given up is not tried again by its caller.
"""

from __future__ import annotations

import random
import threading
import time
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, TypeVar

from assembler.registry.responses import Refused
from assembler.registry.unreachable import Unreachable

if TYPE_CHECKING:
    from collections.abc import Callable

    from assembler.errors import RegistryError

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Clock:
    """Time and chance, as arguments; tests pass ones that do not wait.

    ``monotonic`` and ``wall`` in seconds (``wall`` since the epoch), ``chance`` uniform in [0, 1).
    """

    monotonic: Callable[[], float]
    wall: Callable[[], float]
    sleep: Callable[[float], None]
    chance: Callable[[], float]

    @classmethod
    def of_system(cls) -> Clock:
        return cls(time.monotonic, time.time, time.sleep, random.random)


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """All times in seconds. The pause before try n+1 is uniform in 0 .. min(cap, first * 2**(n-1)) ("full jitter").

    ``patience`` is the most that all pauses since the last progress may take: tries are not counted, for how many a
    busy registry needs depends on how busy it is. 0 means one try.
    """

    patience: float = 120.0
    first: float = 1.0
    cap: float = 10.0
    retry_after_cap: float = 60.0


class Patience:
    """How long to go on with one registry. Thread-safe."""

    def __init__(self, clock: Clock, policy: RetryPolicy, warn: Callable[[str], None]) -> None:
        self.clock = clock
        self.policy = policy
        self.warn = warn
        self._lock = threading.Lock()
        self._not_before = 0.0

    def trial(self, what: str) -> Trial:
        """``what`` names the work for the warning that a retry gives: "the upload of sha256:0123..."."""
        return Trial(self, what)

    def call(self, what: str, action: Callable[[], T]) -> T:
        """``action()``, again and again while its errors may pass. Only for moves that are safe to repeat."""
        trial = self.trial(what)
        while True:
            trial.begin()
            try:
                return action()
            except (Refused, Unreachable) as error:
                trial.failed(error)

    def wait_for_turn(self) -> None:
        with self._lock:
            pause = self._not_before - self.clock.monotonic()
        if pause > 0:
            self.clock.sleep(pause)

    def hold_back(self, seconds: float) -> None:
        """Nobody asks this registry anything for that long."""
        with self._lock:
            self._not_before = max(self._not_before, self.clock.monotonic() + seconds)


class Trial:
    """One piece of work and its tries."""

    def __init__(self, patience: Patience, what: str) -> None:
        self._patience = patience
        self._what = what
        self._reached = 0
        self._waited = 0.0
        self.tries = 0

    def begin(self, reached: int = 0) -> None:
        """``reached`` is how far the work is, in any unit: pauses add up only as long as that does not grow."""
        self._patience.wait_for_turn()
        if reached > self._reached:
            self._reached, self.tries, self._waited = reached, 0, 0.0
        self.tries += 1

    def failed(self, error: Refused | Unreachable) -> None:
        """Returns when it is time for the next try; raises ``error`` when there is none."""
        if not error.temporary:
            raise error
        self.pause(error)

    def pause(self, error: RegistryError) -> None:
        """As :meth:`failed`, for errors that the caller knows a new start can mend."""
        policy, clock = self._patience.policy, self._patience.clock
        asked = retry_after(error, clock.wall()) if isinstance(error, Refused) else None
        backoff = clock.chance() * min(policy.cap, policy.first * 2.0 ** (self.tries - 1))
        pause = backoff if asked is None else min(asked, policy.retry_after_cap)
        if self._waited + pause >= policy.patience:
            times = "once" if self.tries == 1 else f"{self.tries} times, with {self._waited:.0f} s of pauses"
            error.detail = f"{self._what} was tried {times}; --retry-for allows more"
            raise error
        self._waited += pause
        self._patience.warn(f"{self._what}: {error.message}; try {self.tries + 1} in {pause:.1f} s.")
        if asked is not None:
            self._patience.hold_back(pause)
            self._patience.wait_for_turn()
        else:
            clock.sleep(pause)


def retry_after(error: Refused, now: float) -> float | None:
    """Seconds to wait by the Retry-After of a refusal; None when it has none or none that makes sense.

    ``now`` is seconds since the epoch; the answer's own Date, where there is one, is the better "now" for a date.
    """
    headers = error.reply.headers
    text = headers.get("Retry-After", "").strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    until = _epoch(text)
    if until is None:
        return None
    seconds = until - (_epoch(headers.get("Date", "")) or now)
    return seconds if seconds > 0 else None


def _epoch(http_date: str) -> float | None:
    try:
        return parsedate_to_datetime(http_date).timestamp()
    except (TypeError, ValueError, OverflowError):
        return None
