"""``--on slurm``: a job array. Slurm itself runs the tasks of a lost node again (--requeue).

A task that exits with another status than 0 is not run again by Slurm: the collector does that. Options of sbatch come
from its own variables (SBATCH_PARTITION, SBATCH_TIMELIMIT, ...). The plan, the program and the output directory have
the same paths on all nodes.
"""

from __future__ import annotations

import shlex
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from assembler.errors import EngineError
from assembler.fleet.task import Ran, Task

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from assembler.fleet.journal import Journal

_SCRIPT: Final = """\
#!/bin/sh
cd {folder} || exit
sh -c "$(sed -n "$((SLURM_ARRAY_TASK_ID + 1))p" commands)" >"$SLURM_ARRAY_TASK_ID.out"
echo $? >"$SLURM_ARRAY_TASK_ID.part"
mv "$SLURM_ARRAY_TASK_ID.part" "$SLURM_ARRAY_TASK_ID.status"
"""
_POLL: Final = 1.0
"""Seconds."""

_OVER: Final = frozenset({
    "BF", "CA", "CD", "DL", "F", "NF", "OOM", "PR", "TO",
})  # fmt: skip
"""Compact states in which Slurm does nothing more with a task (squeue, "JOB STATE CODES")."""


@dataclass(frozen=True, slots=True)
class _Array:
    """``tasks`` by their number in the job ``job``, whose files are in ``folder``."""

    job: str
    folder: Path
    tasks: dict[int, Task]


@dataclass(frozen=True, slots=True)
class OnSlurm:
    """``folder`` is for the arrays' files, ``most`` is how many tasks may run at once; 0: as many as Slurm likes."""

    fleet: str
    folder: Path
    journal: Journal
    sleep: Callable[[float], object]
    most: int = 0

    def run(self, tasks: Sequence[Task]) -> Iterator[Ran]:
        arrays = list(self._left_running(tasks))
        known = {task.key for array in arrays for task in array.tasks.values()}
        if new := [task for task in tasks if task.key not in known]:
            arrays.append(self._submit(new))
        while arrays := [array for array in arrays if array.tasks]:
            for array in arrays:
                yield from self._ended(array)
            self.sleep(_POLL)

    def _left_running(self, tasks: Sequence[Task]) -> Iterator[_Array]:
        """What a former collector has asked for and Slurm still works at."""
        wanted = {task.key: task for task in tasks}
        for entry in self.journal.of("submitted"):
            active = self._active(entry["job"])
            left = {number: wanted.pop(key) for number, key in enumerate(entry["cells"])
                    if number in active and key in wanted}  # fmt: skip
            if left:
                yield _Array(entry["job"], self.folder / entry["folder"], left)

    def _submit(self, tasks: Sequence[Task]) -> _Array:
        folder = self.folder / str(sum(1 for _ in self.folder.glob("[0-9]*")))
        folder.mkdir(parents=True)
        lines = (f"cd {shlex.quote(task.directory)} && exec {shlex.join(task.command)}" for task in tasks)
        (folder / "commands").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        most = f"%{self.most}" if self.most else ""
        job = _slurm(
            ["sbatch", "--parsable", "--requeue", f"--job-name={self.fleet}", f"--array=0-{len(tasks) - 1}{most}",
             f"--output={folder}/%a.log"], _SCRIPT.format(folder=shlex.quote(str(folder))),
        ).strip().partition(";")[0]  # fmt: skip
        self.journal.note("submitted", job=job, folder=folder.name, cells=[task.key for task in tasks])
        return _Array(job, folder, dict(enumerate(tasks)))

    def _active(self, job: str) -> set[int]:
        """The numbers of the array's tasks that Slurm has not done with. Of a job of old it knows nothing any more."""
        try:
            told = _slurm(["squeue", "--noheader", "--array", f"--jobs={job}", f"--name={self.fleet}",
                           "--states=all", "--format=%K %t"])  # fmt: skip
        except EngineError as error:
            if "Invalid job id" in error.message:
                return set()
            raise
        pairs = (line.split() for line in told.splitlines())
        return {int(pair[0]) for pair in pairs if len(pair) == 2 and pair[0].isdecimal() and pair[1] not in _OVER}

    def _ended(self, array: _Array) -> Iterator[Ran]:
        """Those of the array that have ended since; they leave it. Files are looked at last: Slurm may be behind."""
        active = self._active(array.job)
        for number in list(array.tasks):
            status, out, log = (array.folder / f"{number}.{kind}" for kind in ("status", "out", "log"))
            if status.exists():
                yield Ran(array.tasks.pop(number), int(status.read_text()), _text(out), _text(log))
            elif number not in active:
                lost = f"error: Slurm lost task {number} of job {array.job}\n"
                yield Ran(array.tasks.pop(number), None, "", _text(log) + lost)


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""


def _slurm(command: list[str], text: str = "") -> str:
    """What it prints. EngineError where it is missing, or fails."""
    try:
        done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise EngineError(f"{command[0]} is not installed", hint="--on slurm needs Slurm's client programs.") from error
    if done.returncode:
        raise EngineError(f"{command[0]} failed: {done.stderr.strip()}", hint="Slurm's own log may say more.")
    return done.stdout
