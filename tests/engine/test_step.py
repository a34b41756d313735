from __future__ import annotations

import os
import select
import signal
import time
from types import FrameType

import pytest

from assembler.engine import step
from assembler.engine.lines import Lines


class Stopped(BaseException):
    pass


def stop(number: int, frame: FrameType | None) -> None:
    raise Stopped


def test_a_signal_just_before_a_wait_ends_a_silent_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """It once was lost: the step ran on. No real signal hits those microseconds on purpose, so it is held back here."""
    waits = []

    def late(*arguments: object) -> object:
        waits.append(arguments)
        if len(waits) > 1:
            return select.select(*arguments)  # type: ignore[arg-type]
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
        os.kill(os.getpid(), signal.SIGUSR1)
        try:
            return select.select(*arguments)  # type: ignore[arg-type]
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGUSR1})

    class Late:
        select = staticmethod(late)

    monkeypatch.setattr(step, "select", Late)
    before = signal.signal(signal.SIGUSR1, stop)
    began = time.monotonic()
    try:
        with pytest.raises(Stopped):
            step.follow(["sleep", "20"], Lines(), None)
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert time.monotonic() - began < 15


@pytest.mark.parametrize("timeout", [0.2, 1.3])
def test_a_timeout_is_kept_to(timeout: float) -> None:
    began = time.monotonic()
    with pytest.raises(step.TimedOut):
        step.follow(["sleep", "20"], Lines(), timeout)
    assert timeout <= time.monotonic() - began < 15


def test_a_command_that_ends_in_time_has_its_status() -> None:
    lines = Lines()
    assert step.follow(["sh", "-c", "echo one; sleep 1.2; echo two; exit 3"], lines, 10) == 3
    assert list(lines.tail) == ["one", "two"]
