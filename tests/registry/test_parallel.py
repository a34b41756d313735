"""Several blobs at once, and how that ends before its time."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time as real_time
from typing import TYPE_CHECKING

import pytest

from assembler.registry.parallel import run_all
from assembler.registry.request_body import Cancelled

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.fault_registry import FaultRegistry


def test_results_come_in_the_order_of_the_jobs() -> None:
    def job(number: int) -> int:
        real_time.sleep(0.01 * (5 - number))
        return number

    jobs = [lambda number=number: job(number) for number in range(5)]
    assert run_all(jobs, 3, threading.Event()) == [0, 1, 2, 3, 4]
    assert run_all([], 3, threading.Event()) == []


def test_the_first_failure_stops_the_others_and_is_the_one_that_is_raised() -> None:
    stop, started = threading.Event(), threading.Event()
    ran: list[int] = []

    def waits() -> None:
        started.set()
        assert stop.wait(600)
        raise Cancelled("cancelled")

    def fails() -> None:
        assert started.wait(600)
        raise ValueError("the first")

    with pytest.raises(ValueError, match="the first"):
        run_all([waits, fails, lambda: ran.append(1)], 2, stop)
    assert ran == []


def test_ctrl_c_does_not_wait_for_a_registry_that_is_silent(faulty: FaultRegistry, tmp_path: Path) -> None:
    faulty.faults.silence = answers = threading.Event()
    command = [sys.executable, "-c", _PUSH, faulty.host, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        while not any(seen.body for seen in faulty.seen if seen.method == "PUT"):
            real_time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate()
    answers.set()
    assert b"KeyboardInterrupt" in errors


_PUSH = """
import sys
from pathlib import Path
from assembler.progress import SilentProgress
from assembler.registry.client import connect
from assembler.registry.credentials import ANONYMOUS
from assembler.registry.push import push
from assembler.registry.connection_settings import ConnectionSettings
from tests.support.clocks import FakeTime
from tests.support.images import make_plan

with connect(sys.argv[1], ANONYMOUS, ConnectionSettings(FakeTime().clock), print) as client:
    push(client, "team/app", make_plan(Path(sys.argv[2])), SilentProgress())
"""
