"""The one container of a build: made, filled with the recipe's own files, used by the steps, and read."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from assembler.commands.capture_without_container import capture_without_container
from assembler.commands.changes_under_mounts import refuse_changes_under_mounts
from assembler.commands.checkpoints import Checkpoints
from assembler.commands.keep_container import keeping
from assembler.commands.recipe_files import write_files
from assembler.commands.run_steps import Run, container_of, directories_of
from assembler.engine.container import Bind
from assembler.engine.preflight import check_container_tmp
from assembler.measure.step_meter import Directories, Meter

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from assembler.changeset.capture import Capture
    from assembler.commands.bases import Bases
    from assembler.commands.job import Job
    from assembler.commands.secret_values import SecretValues
    from assembler.model.inputs import Inputs
    from assembler.recipe.sources import Source
    from assembler.source.fetch import Fetched


def fetched_sources(job: Job) -> Mapping[Source, Fetched]:
    if not job.recipe.sources or job.engine is None:
        return {}
    from assembler.commands.lock import fetch_sources  # with httpx, a fifth of what a build without sources imports

    with job.world.fetcher() as fetcher:
        return fetch_sources(job.recipe, fetcher)


@contextmanager
def files_of(
    job: Job, bases: Bases, sources: Mapping[Source, Fetched], inputs: Inputs | None, secrets: SecretValues
) -> Iterator[tuple[Capture, Meter, tuple[str, ...]]]:
    """What the images are made of, what it cost, and what has to be told of it."""
    recipe, engine, progress, clock = job.recipe, job.engine, job.world.progress, job.world.clock.monotonic
    if engine is None:
        with capture_without_container(recipe, bases, job.output) as capture:
            yield capture, Meter(Directories(), clock), ()
        return
    base = bases.environment(recipe.base, engine)
    if not engine.info.platform.runs(bases.platform):
        progress.say(f"the base is for {bases.platform}, and {engine.name} runs on {engine.info.platform}")
    binds = tuple(Bind(fetched.path.absolute(), source.path) for source, fetched in sources.items())
    with engine.session(container_of(job, base, bases.platform, secrets, binds), warn=progress.warn) as session:
        if warning := check_container_tmp(session.mount_table):
            progress.warn(warning)
        checkpoints = Checkpoints(job, inputs) if inputs is not None else None
        former = checkpoints.start(session) if checkpoints is not None else None
        if former is None:
            write_files(session, recipe.files)
            refuse_changes_under_mounts(session, recipe, "a [[file]]")
        meter = Meter(directories_of(session), clock, session.size_rw, former)
        after_step = checkpoints.after_step if checkpoints else None
        run = Run(job, session, meter, len(meter.usages), secrets=secrets, after_step=after_step)
        with keeping(run, inputs):
            run.go_on()
            with run.capture(base) as capture:
                yield capture, run.meter, tuple(checkpoints.notes) if checkpoints else ()


