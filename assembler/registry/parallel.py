"""Several jobs at once in daemon threads: Ctrl-C ends the process although a registry has not answered yet."""

from __future__ import annotations

import queue
import threading
from typing import TYPE_CHECKING, Final, TypeVar

from assembler.registry.request_body import Cancelled

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

T = TypeVar("T")

_GRACE: Final = 1.0
"""Seconds that the other threads get to end in good order after one has failed."""


def run_all(jobs: Sequence[Callable[[], T]], workers: int, stop: threading.Event) -> list[T]:
    """The jobs' results in their order. The first failure sets ``stop``, which the jobs must heed, and is raised."""
    todo: queue.SimpleQueue[int] = queue.SimpleQueue()
    done: queue.SimpleQueue[tuple[int, T | BaseException]] = queue.SimpleQueue()
    for number in range(len(jobs)):
        todo.put(number)

    def work() -> None:
        while not stop.is_set():
            try:
                number = todo.get_nowait()
            except queue.Empty:
                return
            try:
                done.put((number, jobs[number]()))
            except BaseException as error:  # carried to the thread that waits, which raises it
                stop.set()
                done.put((number, error))

    threads = [threading.Thread(target=work, daemon=True) for _ in range(min(workers, len(jobs)))]
    for thread in threads:
        thread.start()
    try:
        return _collect(len(jobs), done)
    except BaseException:
        stop.set()
        for thread in threads:
            thread.join(_GRACE / len(threads))
        raise


def _collect(count: int, done: queue.SimpleQueue[tuple[int, T | BaseException]]) -> list[T]:
    results: dict[int, T] = {}
    while len(results) < count:
        number, result = done.get()
        if isinstance(result, Cancelled):
            continue
        if isinstance(result, BaseException):
            raise result
        results[number] = result
    return [results[number] for number in range(count)]
