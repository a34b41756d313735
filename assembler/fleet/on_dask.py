"""``--on dask:ADDRESS``: the workers of a Dask scheduler, each of which runs one task for each of its threads.

The scheduler runs the tasks of a lost worker again, at most as often as its own settings say (allowed-failures). It is
told to finish them though the client goes away; a client that comes back asks for them by the same names.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

from assembler.errors import EngineError, UsageError
from assembler.fleet.task import Ran, run

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from assembler.fleet.task import Task


@dataclass(frozen=True, slots=True)
class OnDask:
    """``fleet`` tells the tasks apart from others at the scheduler."""

    address: str
    fleet: str

    def run(self, tasks: Sequence[Task]) -> Iterator[Ran]:
        try:
            dask: Any = import_module("distributed")  # whose functions have no types
        except ImportError as error:
            raise UsageError("--on dask needs Dask's distributed, which is not installed",
                             hint="pip install 'imgasm[dask]'") from error
        try:
            client = dask.Client(self.address)
        except (OSError, ValueError) as error:
            raise EngineError(f"no Dask scheduler answers at {self.address}: {error}",
                              hint="Check the address: dask:tcp://HOST:8786.") from error
        with client:
            futures = {client.submit(run, task, key=f"imgasm {self.fleet} {task.key} {task.attempt}"): task
                       for task in tasks}  # fmt: skip
            dask.fire_and_forget(list(futures))
            for future in dask.as_completed(futures):
                lost = future.exception()
                yield Ran(futures[future], None, "", f"error: {lost}\n") if lost is not None else future.result()
