"""``--on local:N``: so many processes at once on this machine."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from typing import TYPE_CHECKING

from assembler.fleet.task import run

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator, Sequence

    from assembler.fleet.task import Ran, Task


@dataclass(frozen=True, slots=True)
class OnThisMachine:
    workers: int

    def run(self, tasks: Sequence[Task]) -> Iterator[Ran]:
        running: set[subprocess.Popen[str]] = set()
        pool = ThreadPoolExecutor(self.workers)
        try:
            for done in as_completed([pool.submit(run, task, running) for task in tasks]):
                yield done.result()
        finally:  # after an interruption, too
            pool.shutdown(wait=False, cancel_futures=True)
            for process in tuple(running):
                process.terminate()
            pool.shutdown()
