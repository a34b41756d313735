"""How the work below the command line tells what it is doing, without knowing who looks.

Use cases take a :class:`Progress`; the command line gives one that draws on the terminal, tests give
:class:`SilentProgress`.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Task(Protocol):
    """One long piece of work with a bar of its own."""

    def advance(self, amount: int) -> None:
        """``amount`` more bytes (or items) are done. May be called from any thread."""

    def note(self, text: str) -> None:
        """A few words beside the bar: the last line of a step's output, a retry."""

    def holds(self, size: int) -> None:
        """The bytes that are on disk by now. May be called from any thread."""


class Progress(Protocol):
    def say(self, message: str) -> None:
        """One line that stays: a phase began, a phase is done."""

    def warn(self, message: str) -> None:
        """One line that stays and wants attention."""

    def output(self, line: str) -> None:
        """One line that a step printed; shown only when the user asked for everything."""

    def task(self, label: str, *, total: int | None = None, unit: str = "B") -> AbstractContextManager[Task]:
        """A bar that lives as long as the context. ``total`` in ``unit``; None when it can't be known."""


@contextmanager
def line_by_line(progress: Progress, label: str) -> Iterator[Callable[[str], None]]:
    """A program that runs: the yielded function takes each line that it prints, and the last one stands beside
    ``label`` meanwhile."""
    with progress.task(label, unit="lines") as task:
        yield lines_to(progress, task)


def lines_to(progress: Progress, task: Task) -> Callable[[str], None]:
    """Takes each line that a program prints; the last one stands beside ``task``."""

    def on_line(line: str) -> None:
        progress.output(line)
        task.note(line)
        task.advance(1)

    return on_line


class MaskedProgress:
    """Another progress, to which every text goes through ``mask`` first."""

    def __init__(self, progress: Progress, mask: Callable[[str], str]) -> None:
        self._progress = progress
        self._mask = mask

    def say(self, message: str) -> None:
        self._progress.say(self._mask(message))

    def warn(self, message: str) -> None:
        self._progress.warn(self._mask(message))

    def output(self, line: str) -> None:
        self._progress.output(self._mask(line))

    @contextmanager
    def task(self, label: str, *, total: int | None = None, unit: str = "B") -> Iterator[Task]:
        with self._progress.task(self._mask(label), total=total, unit=unit) as task:
            yield _MaskedTask(task, self._mask)


class NotedWarnings:
    """Another progress, whose warnings are remembered as well."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self.warnings: list[str] = []
        self.say, self.output, self.task = progress.say, progress.output, progress.task

    def warn(self, message: str) -> None:
        self.warnings.append(message)
        self._progress.warn(message)


class _MaskedTask:
    def __init__(self, task: Task, mask: Callable[[str], str]) -> None:
        self._task = task
        self._mask = mask

    def advance(self, amount: int) -> None:
        self._task.advance(amount)

    def note(self, text: str) -> None:
        self._task.note(self._mask(text))

    def holds(self, size: int) -> None:
        self._task.holds(size)


class _SilentTask:
    def advance(self, amount: int) -> None:
        pass

    def note(self, text: str) -> None:
        pass

    def holds(self, size: int) -> None:
        pass


class SilentProgress:
    """Draws nothing, and remembers the warnings."""

    def __init__(self) -> None:
        self.warnings: list[str] = []

    def say(self, message: str) -> None:
        pass

    def warn(self, message: str) -> None:
        self.warnings.append(message)

    def output(self, line: str) -> None:
        pass

    @contextmanager
    def task(self, label: str, *, total: int | None = None, unit: str = "B") -> Iterator[Task]:
        yield _SilentTask()
