"""The one container of a build: made, filled with the recipe's own files, and used by one step after the other."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from assembler.commands.capture_container import ContainerReader
from assembler.commands.capture_without_container import capture_without_container
from assembler.commands.changes_under_mounts import refuse_changes_under_mounts
from assembler.commands.lock import fetch_sources
from assembler.commands.recipe_files import write_files
from assembler.engine.container import Bind, ContainerSpec
from assembler.engine.preflight import check_container_tmp
from assembler.engine.step import Command
from assembler.engine.writable_layer import writable_layer
from assembler.measure.step_meter import Directories, Meter
from assembler.model.size import human
from assembler.progress import line_by_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from assembler.changeset.capture import Capture
    from assembler.commands.bases import Bases
    from assembler.commands.job import BuildOptions, Job
    from assembler.engine.session import Session
    from assembler.model.platform import Platform
    from assembler.progress import Progress
    from assembler.recipe.recipe import Recipe
    from assembler.recipe.sources import Source
    from assembler.recipe.steps import Step
    from assembler.source.fetch import Fetched


def fetched_sources(job: Job) -> Mapping[Source, Fetched]:
    if not job.recipe.sources or job.engine is None:
        return {}
    with job.world.fetcher() as fetcher:
        return fetch_sources(job.recipe, fetcher)


@contextmanager
def files_of(job: Job, bases: Bases, sources: Mapping[Source, Fetched]) -> Iterator[tuple[Capture, Meter]]:
    """What the images are made of, and what it cost."""
    recipe, engine, progress, clock = job.recipe, job.engine, job.world.progress, job.world.clock.monotonic
    if engine is None:
        with capture_without_container(recipe, bases, job.output) as capture:
            yield capture, Meter(Directories(), clock)
        return
    base = bases.environment(recipe.base, engine)
    spec = _container(recipe, base, bases.platform, sources, job.options)
    if not engine.info.platform.runs(bases.platform):
        progress.say(f"the base is for {bases.platform}, and {engine.name} runs on {engine.info.platform}")
    with engine.session(spec, warn=progress.warn, keep=job.options.keep_container) as session:
        if warning := check_container_tmp(session.mount_table):
            progress.warn(warning)
        write_files(session, recipe.files)
        refuse_changes_under_mounts(session, recipe, "a [[file]]")
        meter = Meter(_directories(session), clock, session.size_rw)
        _run_steps(session, recipe, meter, progress)
        reader = ContainerReader(session, base, recipe.images, job.output, progress)
        with session.paused(), reader.capture(job.options.way) as capture:
            yield capture, meter


def _container(
    recipe: Recipe, image: str, platform: Platform, sources: Mapping[Source, Fetched], options: BuildOptions
) -> ContainerSpec:
    binds = tuple(Bind(fetched.path.absolute(), source.path) for source, fetched in sources.items())
    return ContainerSpec(image, options.build, recipe.container, platform, binds, recipe.secrets)


def _directories(session: Session) -> Directories:
    """Where the steps' bytes can be counted."""
    found = writable_layer(session)
    return Directories(
        upper=found.directory if found else None,
        whole=found.whole if found else False,
        scratch=session.scratch_directories(),
        disk=session.engine.disk,
        enter=found.enter if found else (),
    )


def _run_steps(session: Session, recipe: Recipe, meter: Meter, progress: Progress) -> None:
    for number, step in enumerate(recipe.steps, 1):
        label = f"[{number}/{len(recipe.steps)}] {step.name}"
        with line_by_line(progress, label) as on_line, meter.step(step.name) as measured:
            _run_step(session, recipe, step, on_line)
        usage = measured.usage
        if usage is not None:
            added = f", {human(usage.added)} written" if usage.added is not None else ""
            layer = f", {human(usage.layer)} in the container now" if usage.layer is not None else ""
            progress.say(f"{label}: {usage.seconds:.1f} s{added}{layer}")
        refuse_changes_under_mounts(session, recipe, f"step {step.name!r}")


def _run_step(session: Session, recipe: Recipe, step: Step, on_output: Callable[[str], None]) -> None:
    env = {**_clamp(recipe), **recipe.container.env, **step.env}
    session.run(Command(step.name, step.argv, env, step.workdir, step.user, step.timeout), on_output)


def _clamp(recipe: Recipe) -> dict[str, str]:
    """Compilers, archivers and kbuild write the time into files, where no clamp of ours reaches; but they ask this."""
    return {} if recipe.source_date_epoch is None else {"SOURCE_DATE_EPOCH": str(recipe.source_date_epoch)}
