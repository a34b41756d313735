"""``imgasm resume``, ``imgasm assemble``, ``imgasm shell``: a build whose container was kept goes on in it."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from assembler.commands.bases import Bases, Policy
from assembler.commands.inputs import Surroundings
from assembler.commands.job import BuildOptions, Job
from assembler.commands.keep_container import keeping
from assembler.commands.kept_builds import KeptBuilds
from assembler.commands.run_steps import Run, container_of, directories_of
from assembler.commands.secret_values import SecretValues
from assembler.commands.timestamps import with_timestamps
from assembler.commands.unchanged import known_sources
from assembler.commands.write_build import BuildWriter
from assembler.engine.session import Aside
from assembler.errors import RecipeError, UsageError, masked
from assembler.image.layout import Layout
from assembler.image.layout_cache import LayoutCache
from assembler.measure.step_meter import Meter

if TYPE_CHECKING:
    from collections.abc import Iterator

    from assembler.commands.kept_builds import KeptBuild
    from assembler.model.inputs import Inputs
    from assembler.places.world import World
    from assembler.recipe.recipe import Recipe
    from assembler.report.build_record import BuildRecord


@dataclass(frozen=True, slots=True)
class Going:
    """How a kept build goes on: with the steps that are left, or (``assemble``) with its images alone. The container
    stays if that fails, unless ``on_failure`` removes it, and goes if it succeeds, unless it is kept in any case."""

    assemble: bool = False
    keep_container: bool = False
    on_failure: Literal["keep", "remove"] = "keep"


def resume(kept: KeptBuild, recipe: Recipe, world: World, going: Going) -> BuildRecord:
    """Goes on at the step of ``kept`` that failed, in the same container, with ``recipe`` as it is now.

    RecipeError names what was edited although it is done. The record is of all that was done in the container.
    """
    secrets = SecretValues.of(recipe, world)
    recipe = secrets.hidden_in(recipe)
    mask = recipe.secrets.mask
    with masked(mask), KeptBuilds(world.kept).alone(kept.build):
        recipe = with_timestamps(recipe, world.settings.source_date_epoch(), kept.created, world.clock.wall())
        options = BuildOptions(
            engine=kept.engine, way=kept.way, created=kept.created, inspect_base=kept.inspect_base,
            may_refuse=kept.may_refuse, keep_container=going.keep_container, on_failure=going.on_failure,
            build=kept.build, given=kept.given,
        )  # fmt: skip
        world = world.masked(mask)
        job = Job(recipe, world.runner(kept.engine), Path(kept.output), world, options)
        with LayoutCache(world.cache / "bases", world.progress) as cache:
            bases = Bases(job.engine, world, job.target(), cache, Policy(False, kept.inspect_base))
            return _go_on(kept, job, bases, secrets, going)


def _go_on(kept: KeptBuild, job: Job, bases: Bases, secrets: SecretValues, going: Going) -> BuildRecord:
    surroundings = Surroundings(job.recipe, bases, job.options.way)
    bases.resolve(job.recipe.base)
    sources = known_sources(job)
    inputs = surroundings.inputs(sources)
    if inputs is not None:
        _refuse_edits(kept, inputs)
    assert job.engine is not None
    base = bases.environment(job.recipe.base, job.engine)
    if going.assemble and kept.done < len(job.recipe.steps):
        raise UsageError(f"step {job.recipe.steps[kept.done].name} has not been done in {kept.container}",
                         hint="imgasm resume does the steps that are left.")
    writer = BuildWriter(job, bases, surroundings, Layout.create(job.output), sources)
    with _run_again(kept, job, bases, secrets) as run, keeping(run, inputs):
        run.go_on()
        with run.capture(base) as capture:
            record = writer.write(capture, run.meter, None if run.entered else inputs, tuple(_notes(kept)))
    return record


def _refuse_edits(kept: KeptBuild, now: Inputs) -> None:
    """RecipeError for what was done already, and would be done in another way now."""
    if changes := list(now.first(kept.done).changes(kept.inputs.first(kept.done))):
        raise RecipeError(
            f"{changes[0]}, and {kept.container} was made with what it was before",
            hint="Undo that to go on in the container, or run imgasm build, which begins anew.",
        )


@contextmanager
def _run_again(kept: KeptBuild, job: Job, bases: Bases, secrets: SecretValues) -> Iterator[Run]:
    """The kept container with its meter. It goes, and what is known of it, when all was done."""
    engine, progress = job.engine, job.world.progress
    assert engine is not None
    usages = kept.measured.usages
    failed = usages[kept.done] if len(usages) > kept.done else None
    measured = replace(kept.measured, usages=usages[: kept.done])
    aside = Aside(
        tuple(path.encode("latin-1") for path in kept.volumes),
        {path.encode("latin-1"): size for path, size in kept.copied.items()},
    )
    spec = container_of(job, bases.environment(job.recipe.base, engine), bases.platform, secrets)
    with engine.session_again(spec, aside, warn=progress.warn) as session:
        meter = Meter(directories_of(session), job.world.clock.monotonic, session.size_rw, measured)
        run = Run(job, session, meter, kept.done, failed, kept.entered, secrets)
        yield run
        if not job.options.keep_container:
            session.container.let_go()
            KeptBuilds(job.world.kept).remove(kept.build)


def _notes(kept: KeptBuild) -> Iterator[str]:
    if kept.entered:
        yield "somebody was in the container by hand (imgasm shell): another build may give other images"
    if kept.failed is not None:
        yield f"step {kept.failed} failed, and went on in the same container"
