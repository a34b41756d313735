"""States of containers after steps, in a folder that all builds of a user share.

    KEY/checkpoint.json   what it is; KEY stands for an environment and the steps that ran in it
    KEY/files.tar.zst     the container's files, as far as they are not the base's
    KEY/scratch-0.tar.zst what a scratch volume holds
    KEY/using             locked by those who read it, together; its time is that of the last use
    work-*/               one that is being written; see :func:`assembler.locks.work_directory`

One gets its name when it is whole, so what a killed build left is never found; one that is removed loses it first.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from pydantic import TypeAdapter, ValidationError

from assembler.atomic_files import put_directory_in_place
from assembler.errors import ImageError
from assembler.locks import attempt, shared, work_directory
from assembler.model.inputs import Inputs
from assembler.model.step_usage import Measurements

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FILES: Final = "files.tar.zst"
ABOUT: Final = "checkpoint.json"
_USING: Final = "using"


def scratch_file(number: int) -> str:
    return f"scratch-{number}.tar.zst"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The state after the first ``steps`` of the steps of ``inputs``. ``made`` is in seconds since 1970.

    ``removed`` are the base's paths that were gone or had become something else; ``times`` are mtimes (seconds) of what
    is the base's otherwise, which no layer would hold. All these paths are as Latin-1 reads their bytes. ``scratch``
    are the volumes' in the order of their files.
    """

    recipe: str
    inputs: Inputs
    steps: int
    made: float
    measured: Measurements
    removed: tuple[str, ...] = ()
    times: dict[str, int] = field(default_factory=dict)
    scratch: tuple[str, ...] = ()

    @property
    def step(self) -> str:
        return self.inputs.steps[self.steps - 1].name

    @property
    def key(self) -> str:
        return self.inputs.key(self.steps)


@dataclass(frozen=True, slots=True)
class Stored:
    """A checkpoint where it lies. ``size`` in bytes, ``used`` in seconds since 1970."""

    checkpoint: Checkpoint
    directory: Path
    size: int
    used: float


@dataclass(frozen=True, slots=True)
class Limits:
    """``size`` bytes of all together, and ``age`` seconds since the last use."""

    size: int = 20_000_000_000
    age: float = 30 * 86400.0


_ADAPTER: Final = TypeAdapter(Checkpoint)


class CheckpointStore:
    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def has(self, key: str) -> bool:
        return (self._folder / key / ABOUT).exists()

    def all(self) -> list[Stored]:
        """The one that was used last comes first."""
        found = (self._read(path.parent) for path in self._folder.glob(f"*/{ABOUT}"))
        return sorted((one for one in found if one is not None), key=lambda one: -one.used)

    @contextmanager
    def reading(self, key: str, now: float) -> Iterator[Stored | None]:
        """The checkpoint of that key, which stays as long as the context lives; None where there is none (any more)."""
        directory = self._folder / key
        try:
            with shared(directory / _USING):
                os.utime(directory / _USING, (now, now))
                yield self._read(directory)
        except FileNotFoundError as error:
            if error.filename is None or _USING not in os.fspath(error.filename):
                raise
            yield None

    @contextmanager
    def writing(self) -> Iterator[Path]:
        """A directory to write the files of a checkpoint to, for :meth:`put`. It goes with the context."""
        with work_directory(self._folder) as work:
            directory = work.path / "checkpoint"
            directory.mkdir(mode=0o700)
            yield directory

    def put(self, directory: Path, checkpoint: Checkpoint) -> None:
        """Gives what was written its name, if nobody else was faster."""
        (directory / ABOUT).write_bytes(_ADAPTER.dump_json(checkpoint))
        (directory / _USING).touch()
        put_directory_in_place(directory, self._folder / checkpoint.key)

    def admit(self, directory: Path, key: str) -> None:
        """The same for one that was written elsewhere. ImageError if it is not the one of ``key``, or not whole."""
        try:
            checkpoint = _ADAPTER.validate_json((directory / ABOUT).read_bytes())
        except ValidationError as error:
            raise ImageError("what a checkpoint should be told by is not understood") from error
        files = {ABOUT, FILES, *(scratch_file(number) for number in range(len(checkpoint.scratch)))}
        if checkpoint.key != key or {path.name for path in directory.iterdir()} != files:
            raise ImageError("a checkpoint is not the one that it is called")
        self.put(directory, checkpoint)

    def prune(self, limits: Limits, now: float) -> list[Stored]:
        """Removes what is over the limits, the longest unused first, and is not being read. Returns what it removed."""
        removed, kept = [], 0
        for one in self.all():
            if now - one.used <= limits.age and kept + one.size <= limits.size:
                kept += one.size
            elif self._remove(one.directory):
                removed.append(one)
        return removed

    def _remove(self, directory: Path) -> bool:
        try:
            with attempt(directory / _USING) as free:
                if free:
                    with work_directory(self._folder) as work:
                        put_directory_in_place(directory, work.path / "removed")
                return free
        except FileNotFoundError:
            return True

    def _read(self, directory: Path) -> Stored | None:
        try:
            checkpoint = _ADAPTER.validate_json((directory / ABOUT).read_bytes())
            size = sum(path.stat().st_size for path in directory.iterdir())
            return Stored(checkpoint, directory, size, (directory / _USING).stat().st_mtime)
        except (OSError, ValidationError):
            return None  # another imgasm's, or just removed
