"""After steps that took long the container's state is kept, so that another build can start from there.

A checkpoint is never a layer of an image: the container that starts from one has the base below it, and its files on
top, as if the steps had run in it. What is worth one is a matter of cost: a step that took three times as long as
writing its result does, as long as all writing stays below a twentieth of the steps' time.

Our own tar of what differs from the base is the form: of 1.28 GB in 24,847 entries it takes 4.8 s of processor and
0.67 GB at zstd -1, where ``docker commit`` takes 13 s, and every engine on the machine can start from it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO, Final

from assembler.atomic_files import naming
from assembler.changeset.capture import changeset
from assembler.changeset.path_rules import Patterns
from assembler.commands.capture_container import capture_in_place
from assembler.commands.checkpoint_store import FILES, Checkpoint, CheckpointStore, Limits, scratch_file
from assembler.commands.find_secrets import SecretSearch
from assembler.commands.shared_checkpoints import SharedCheckpoints
from assembler.engine.restore_files import pack, unpack, write_changes
from assembler.errors import ImgasmError
from assembler.layer.compress import compressor
from assembler.layer.decompress import decompress
from assembler.layer.write_layer import write_layer
from assembler.model.size import human
from assembler.model.step_usage import is_older
from assembler.model.timestamp import ago

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

    from assembler.changeset.capture import Capture
    from assembler.commands.checkpoint_store import Stored
    from assembler.commands.job import Job
    from assembler.commands.run_steps import Run
    from assembler.engine.session import Session
    from assembler.model.inputs import Inputs
    from assembler.model.node import Node
    from assembler.model.step_usage import Measurements
    from assembler.recipe.steps import Step

_RATE: Final = 250e6
"""Bytes a second that are read, compressed at zstd -1 and written: 267e6 on one core, measured."""
_START: Final = 0.5
"""Seconds that the smallest checkpoint takes."""
_WORTH: Final = 3
_SHARE: Final = 0.05
_LEVEL: Final = 1
_CHUNK: Final = 1 << 20


class Checkpoints:
    """Those of one build. ``inputs`` is what its steps come from, ``notes`` says where there is none, and why."""

    def __init__(self, job: Job, inputs: Inputs) -> None:
        self._job = job
        self._inputs = inputs
        self._store = CheckpointStore(job.world.checkpoints)
        self._shared = SharedCheckpoints(job.world, self._store, list(job.options.cache_from), job.options.cache_to)
        self._begun = 0
        self._spent = 0.0
        self._slowness = 1.0
        self.notes: list[str] = []

    def start(self, session: Session) -> Measurements | None:
        """Gives the fresh container of ``session`` the state of the latest checkpoint that fits; None for none."""
        job = self._job
        now = job.world.clock.wall()
        if not job.options.uses_checkpoints or isinstance(capture_in_place(session), str):
            return None
        for steps in range(len(job.recipe.steps), 0, -1):
            key = self._inputs.key(steps)
            if not self._store.has(key) and not self._shared.fetch(key):
                continue
            with self._store.reading(key, now) as found:
                if found is None or self._is_old(found.checkpoint, now):
                    continue
                self._restore(found, session)
                age = ago(now - found.checkpoint.made)
                job.world.progress.say(f"starting from the checkpoint after step {found.checkpoint.step}, {age} old")
                self._shared.offer(found)
                self._begun = steps
                return found.checkpoint.measured
        self._tell_why()
        return None

    def _is_old(self, checkpoint: Checkpoint, now: float) -> bool:
        """Says which step is older than its ``max_age``, if one is."""
        for step, usage in zip(self._job.recipe.steps, checkpoint.measured.usages, strict=False):
            if is_older(usage, step.max_age, now):
                self._job.world.progress.say(f"step {step.name} runs again: it is older than its max_age")
                return True
        return False

    def _tell_why(self) -> None:
        """Why no checkpoint of the same recipe fits."""
        former = [one.checkpoint for one in self._store.all() if one.checkpoint.recipe == self._job.recipe.name]
        reasons = [why for one in former if (why := mismatch(self._inputs, one)) is not None]
        if reasons:
            self._job.world.progress.say(f"no checkpoint fits: {reasons[0]}")

    def _restore(self, stored: Stored, session: Session) -> None:
        checkpoint, volumes = stored.checkpoint, session.scratch_directories()
        assert session.pid is not None
        with (stored.directory / FILES).open("rb") as tar:
            removed = (path.encode("latin-1") for path in checkpoint.removed)
            times = {path.encode("latin-1"): mtime for path, mtime in checkpoint.times.items()}
            write_changes(session.pid, removed, decompress(tar), times)
        for number, path in enumerate(checkpoint.scratch):
            with (stored.directory / scratch_file(number)).open("rb") as tar:
                unpack(decompress(tar), volumes[path])

    # -- saving --------------------------------------------------------------------------------------------------------

    def after_step(self, run: Run) -> None:
        """Keeps the state after the last step that ended, if that is worth it. A failure to do so is told, no more."""
        step, key = self._job.recipe.steps[run.done - 1], self._inputs.key(run.done)
        if step.checkpoint is False or not (step.checkpoint or self._store.has(key) or self._is_worth_it(run)):
            return
        if self._store.has(key) or self._keep(run, step):
            with self._store.reading(key, self._job.world.clock.wall()) as stored:
                if stored is not None:
                    self._shared.offer(stored)

    def _keep(self, run: Run, step: Step) -> bool:
        world = self._job.world
        start = world.clock.monotonic()
        try:
            size = self._save(run)
        except (ImgasmError, OSError) as error:
            self.notes.append(f"no checkpoint after step {step.name}: {error}")
            world.progress.warn(self.notes[-1])
            return False
        seconds = world.clock.monotonic() - start
        self._spent += seconds
        self._slowness = max(1.0, seconds / _cost(run))  # the machine may have other work, too
        world.progress.say(f"checkpoint after step {step.name}: {human(size)} in {seconds:.1f} s")
        self._store.prune(Limits(), world.clock.wall())
        return True

    def _is_worth_it(self, run: Run) -> bool:
        usages = run.meter.usages
        cost = self._slowness * _cost(run)
        elapsed = sum(usage.seconds for usage in usages[self._begun :])
        return usages[-1].seconds >= _WORTH * cost and self._spent + cost <= _SHARE * elapsed

    def _save(self, run: Run) -> int:
        """Returns the bytes of the checkpoint."""
        session, job = run.session, self._job
        with self._store.writing() as directory, session.paused():
            captured = capture_in_place(session)
            if isinstance(captured, str):
                raise ImgasmError(captured)
            removed, times = self._write_files(captured, directory / FILES)
            volumes = session.scratch_directories()
            for number, volume in enumerate(volumes.values()):
                with pack(volume) as tar, (directory / scratch_file(number)).open("wb") as file:
                    _squeeze(tar, file)
            checkpoint = Checkpoint(
                job.recipe.name, self._inputs, run.done, job.world.clock.wall(), run.meter.measurements,
                tuple(path.decode("latin-1") for path in removed),
                {path.decode("latin-1"): mtime for path, mtime in times.items()}, tuple(volumes),
            )  # fmt: skip
            for path in directory.iterdir() if job.recipe.secrets.values else ():
                with path.open("rb") as file:
                    SecretSearch.of(job.recipe.secrets).refuse_stream(file, "the container or its scratch")
            size = sum(path.stat().st_size for path in directory.iterdir())
            self._store.put(directory, checkpoint)
        return size

    def _write_files(self, captured: Capture, path: Path) -> tuple[list[bytes], dict[bytes, int]]:
        """Returns what must be removed from the base before these are written over it, and the times of what is not
        among them."""
        entries = changeset(captured, None, Patterns()).changeset.entries
        removed = [entry.path for entry in entries if entry.node is None or _replaces(entry.node, captured, entry.path)]
        kept = (entry for entry in entries if entry.node is not None)
        with path.open("wb") as file:
            write_layer(kept, file, compressor("zstd", _LEVEL))
        return removed, dict(_times(captured, {entry.path for entry in entries}))


def _cost(run: Run) -> float:
    """Seconds that a checkpoint takes now on a machine that does nothing else."""
    last = run.meter.usages[-1]
    return _START + ((last.layer or 0) + (last.scratch or 0)) / _RATE


def _replaces(node: Node, captured: Capture, path: bytes) -> bool:
    """Whether something of another kind is there in the base."""
    was = captured.base.node(path)
    return was is not None and was.kind is not node.kind


def _times(captured: Capture, written: Collection[bytes]) -> Iterator[tuple[bytes, int]]:
    """mtimes of what is the base's but for that."""
    for path, node in captured.candidates.items():
        was = captured.base.node(path)
        if path and path not in written and node is not None and was is not None and node.mtime != was.mtime:
            yield path, node.mtime


def mismatch(now: Inputs, checkpoint: Checkpoint) -> str | None:
    """The first thing that ``now`` has otherwise, in a sentence; None where the checkpoint fits."""
    return next(now.first(checkpoint.steps).changes(checkpoint.inputs.first(checkpoint.steps)), None)


def _squeeze(tar: BinaryIO, file: BinaryIO) -> None:
    """Compressed at the level of checkpoints."""
    squeeze = compressor("zstd", _LEVEL)
    with naming(file.name):
        while chunk := tar.read(_CHUNK):
            file.write(squeeze.compress(chunk))
        for piece in squeeze.flush():
            file.write(piece)
