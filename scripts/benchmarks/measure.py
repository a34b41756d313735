"""One run of a command, seen from outside: seconds, processor seconds, memory, disk."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_SAMPLE_SECONDS: Final = 0.02


class Failed(Exception):
    """The command ended with an error; its output is the message."""


@dataclass(frozen=True, slots=True)
class Run:
    """``process_seconds`` is the time from the command's start to its end. ``memory`` (bytes) is the largest process's
    peak, of the command's own processes: not of a daemon that it asks.

    ``disk`` (bytes) is the most that lay in the watched directory at any time, and ``left`` what lay there at the end.
    """

    process_seconds: float
    processor_seconds: float
    memory: int
    disk: int
    left: int
    output: str


def measure(command: list[str], watched: Path, environment: Mapping[str, str]) -> Run:
    """Temporary files of ``command`` go to ``watched`` as well, and are counted there."""
    watcher = _Watcher(watched)
    # Who installs imgasm has its bytecode, which a developer's shell may forbid to write.
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    variables = {**kept, **environment, "TMPDIR": str(watched)}
    log = watched.with_name(watched.name + ".log")
    with log.open("w+b") as output:
        start = time.perf_counter()
        process = subprocess.Popen(command, stdout=output, stderr=output, env=variables)
        # Not Popen.wait: it would throw away what the kernel says of the process.
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        text = output.read().decode(errors="replace")
    peak = watcher.stop()
    if process.returncode:
        raise Failed(f"{' '.join(command)} ended with {process.returncode}:\n{text[-2000:]}")
    processor = usage.ru_utime + usage.ru_stime
    return Run(seconds, processor, usage.ru_maxrss * 1024, peak, _disk_usage(watched), text)


class _Watcher:
    """Looks at a directory of few files every 20 ms."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._peak = 0
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()

    def stop(self) -> int:
        self._end.set()
        self._thread.join()
        return max(self._peak, _disk_usage(self._directory))

    def _watch(self) -> None:
        while not self._end.wait(_SAMPLE_SECONDS):
            self._peak = max(self._peak, _disk_usage(self._directory))


def _disk_usage(directory: Path) -> int:
    total = 0
    for folder, _, files in os.walk(directory):
        for name in files:
            try:
                total += os.lstat(os.path.join(folder, name)).st_blocks * 512
            except FileNotFoundError:
                pass  # it was renamed or removed meanwhile
    return total
