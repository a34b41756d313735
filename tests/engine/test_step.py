from __future__ import annotations

import os
import select
import signal
import subprocess
import time
from pathlib import Path
from types import FrameType

import pytest

from assembler.engine import step
from assembler.engine.output_lines import Lines
from assembler.engine.step import script_line


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
    try:
        with pytest.raises(Stopped):
            step.follow(["sleep", "infinity"], Lines(), None)
    finally:
        signal.signal(signal.SIGUSR1, before)


@pytest.mark.parametrize("timeout", [0.2, 1.3])
def test_a_timeout_is_kept_to(timeout: float) -> None:
    began = time.monotonic()
    with pytest.raises(step.TimedOut):
        step.follow(["sleep", "infinity"], Lines(), timeout)
    assert timeout <= time.monotonic() - began


def test_a_command_that_ends_in_time_has_its_status() -> None:
    lines = Lines()
    assert step.follow(["sh", "-c", "echo one; sleep 1.2; echo two; exit 3"], lines, 600) == 3
    assert list(lines.tail) == ["one", "two"]


@pytest.mark.parametrize("shell", ["dash", "bash"])
@pytest.mark.parametrize(
    ("script", "line"),
    [
        ("true\nnosuchprogram --x\ntrue", (2, "nosuchprogram --x")),
        ("\n\nif true; then\n  cd /no/such/directory\nfi", (4, "cd /no/such/directory")),
        ("true\nfalse", None),
        ("sh -c 'nosuchprogram'", None),
    ],
)
def test_the_line_that_the_shell_tells_is_quoted(
    shell: str, script: str, line: tuple[int, str] | None
) -> None:
    argv = [f"/bin/{shell}", "-e", "-c", script]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)

    assert done.returncode != 0
    assert script_line(argv, done.stderr.splitlines()) == line


def test_busybox_tells_no_line_or_a_wrong_one_and_none_is_quoted(tmp_path: Path) -> None:
    (tmp_path / "ash").symlink_to("/bin/busybox")
    argv = [str(tmp_path / "ash"), "-e", "-c", "\n\nif true; then\n  cd /no/such/directory\nfi"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)

    assert "can't cd to" in done.stderr
    assert script_line(argv, done.stderr.splitlines()) is None


def test_a_failure_quotes_the_line_as_a_note() -> None:
    command = step.Command("compile", ["/bin/sh", "-e", "-c", "make\nmkae all"], {})
    error = step.failure(command, 127, ["/bin/sh: 2: mkae: not found"], None)
    assert error.__notes__ == ["line 2 of its script: mkae all"]
