"""What existing engines are asked to do: run imgasm with these arguments, wherever they like.

Nothing here schedules. An engine that loses a machine runs the task again by its own rules; what a task has done is in
the registry, where the next one finds it.
"""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

FINAL: Final = frozenset({2, 3, 10, 12})
"""Exit codes that another attempt would end with, too: usage, recipe, budget, kernel."""

_LOG: Final = 1 << 16
"""Characters of a log's end that are kept."""


@dataclass(frozen=True, slots=True)
class Task:
    """``arguments`` are imgasm's, to be run in ``directory``. ``attempt`` counts from 1."""

    key: str
    arguments: tuple[str, ...]
    directory: str
    attempt: int = 1

    @property
    def command(self) -> list[str]:
        """With the Python of the machine that runs it."""
        return [sys.executable, "-m", "assembler", *self.arguments]


@dataclass(frozen=True, slots=True)
class Ran:
    """How a task ended: ``out`` and ``log`` are standard output and error. ``status`` is None where nobody can know."""

    task: Task
    status: int | None
    out: str
    log: str


class Executor(Protocol):
    def run(self, tasks: Sequence[Task]) -> Iterator[Ran]:
        """Runs each to its end, and yields them as they end. One that was left running is waited for instead."""


def run(task: Task, running: set[subprocess.Popen[str]] | None = None) -> Ran:
    """Runs ``task`` here. It is among ``running`` meanwhile, and does not outlive this process."""
    command = ["setpriv", "--pdeathsig", "TERM", *task.command]
    with subprocess.Popen(command, cwd=task.directory, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, errors="replace") as process:  # fmt: skip
        if running is not None:
            running.add(process)
        out, log = process.communicate()
        if running is not None:
            running.discard(process)
    return Ran(task, process.returncode, out, log[-_LOG:])
