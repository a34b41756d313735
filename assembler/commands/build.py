"""``imgasm build``: from a recipe to an OCI layout with one new layer for each image."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from assembler.commands.bases import Bases, Policy
from assembler.commands.disk_space import check_disk_space
from assembler.commands.inputs import Surroundings
from assembler.commands.job import BuildOptions, Job
from assembler.commands.timestamps import with_timestamps
from assembler.commands.unchanged import former_build, is_unpinned, known_sources, stands
from assembler.commands.write_record import keep_record
from assembler.errors import RecipeError, UsageError, masked
from assembler.image.layout import Layout
from assembler.image.layout_cache import LayoutCache
from assembler.recipe.lint import stand_ins, warnings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from assembler.commands.secret_values import SecretValues
    from assembler.model.inputs import Inputs
    from assembler.places.world import World
    from assembler.recipe.recipe import Recipe
    from assembler.report.build_record import BuildRecord


def needs_engine(recipe: Recipe) -> bool:
    """Without steps nothing runs: the files come from the base's layers and the recipe."""
    return bool(recipe.steps)


def build(recipe: Recipe, output: Path, world: World, options: BuildOptions) -> BuildRecord:
    """Runs the recipe. The layout and the record of the build lie in the directory ``output`` afterwards.

    The world's SOURCE_DATE_EPOCH, a time in seconds that no new file's mtime exceeds, wins over the recipe's.

    What is over its budget is in the record. The caller fails for it, after showing the report.

    The container and its volumes are removed when this returns or raises, unless ``options.keep_container``. By then
    the record lies beside the images: what goes wrong with the removal is a warning, and takes nothing away.

    None of the recipe's secrets is in a message or an error.
    """
    mask = recipe.secrets.mask
    with masked(mask):
        _refuse_contradictions(recipe, options)
        _refuse_stand_ins(recipe)
        recipe = with_timestamps(recipe, world.settings.source_date_epoch(), options.created, world.clock.wall())
        engine = world.runner(options.engine) if needs_engine(recipe) else None
        return _build(Job(recipe, engine, output, world.masked(mask), options))


def foreseen_inputs(recipe: Recipe, world: World, options: BuildOptions) -> Inputs | None:
    """What a build would come from; None where that can't be known before something is fetched, run, or too old."""
    mask = recipe.secrets.mask
    with masked(mask):
        if is_unpinned(recipe):
            return None
        recipe = with_timestamps(recipe, world.settings.source_date_epoch(), options.created, world.clock.wall())
        engine = world.runner(options.engine) if needs_engine(recipe) else None
        job = Job(recipe, engine, world.cache, world.masked(mask), options)
        with _surroundings(job) as (_, surroundings):
            return surroundings.inputs(known_sources(job))


@contextmanager
def _surroundings(job: Job) -> Iterator[tuple[Bases, Surroundings]]:
    options, world = job.options, job.world
    with LayoutCache(world.cache / "bases", world.progress) as cache:
        bases = Bases(job.engine, world, job.target(), cache, Policy(options.refresh, options.inspect_base))
        yield bases, Surroundings(job.recipe, bases, options.way)


def _refuse_contradictions(recipe: Recipe, options: BuildOptions) -> None:
    """UsageError for a platform where steps run on the base's, and for what is about a container where none is made."""
    if options.platform is not None and recipe.steps:
        raise UsageError("--platform is for builds without steps",
                         hint="Steps run on the base's platform: name another base, or set [base.bootstrap] "
                              "architecture.")  # fmt: skip
    given = (("--keep-container", options.keep_container), ("--capture", options.way != "auto"))
    idle = [name for name, is_given in given if is_given]
    if idle and not recipe.steps:
        raise UsageError(f"{' and '.join(idle)}: a recipe without steps needs no container",
                         hint="Leave the option out.")


def _refuse_stand_ins(recipe: Recipe) -> None:
    """RecipeError before anything is fetched or run."""
    if found := stand_ins(recipe):
        raise RecipeError(f"{', '.join(found)} {'is a stand-in' if len(found) == 1 else 'are stand-ins'}",
                          hint="Put the real file in its place, as its first lines and the recipe's say.")  # fmt: skip


def _build(job: Job) -> BuildRecord:
    recipe, options, progress = job.recipe, job.options, job.world.progress
    for warning in warnings(recipe):
        progress.warn(warning)
    with _surroundings(job) as (bases, surroundings):
        former = former_build(job.output, recipe.name) if options.may_stand else None
        if former is not None and stands(former, job, bases, surroundings):
            progress.say(f"nothing changed since the last build: {job.output} is what {recipe.name} makes; "
                         "--no-cache builds it again")  # fmt: skip
            for warning in former.warnings:
                progress.warn(warning)
            keep_record(former, Layout.open(job.output), progress)  # as the last that was finished
            return former
        return _make(job, bases, surroundings)


def _make(job: Job, bases: Bases, surroundings: Surroundings) -> BuildRecord:
    from assembler.commands.secret_values import SecretValues

    secrets = SecretValues.of(job.recipe, job.world)
    job = job.hiding(secrets.hidden_in(job.recipe))
    with masked(job.recipe.secrets.mask):
        return _run(job, bases, surroundings, secrets)


def _run(job: Job, bases: Bases, surroundings: Surroundings, secrets: SecretValues) -> BuildRecord:
    """Its imports cost a build for which there is nothing to do a quarter of its time."""
    from assembler.commands.build_container import fetched_sources, files_of
    from assembler.commands.write_build import BuildWriter

    if job.engine is not None:
        check_disk_space(job.engine, job.output, job.recipe, job.world.progress)
    sources = fetched_sources(job)
    bases.resolve(job.recipe.base)
    known = {source: fetched.sha256 for source, fetched in sources.items()}
    inputs = surroundings.inputs(known)
    writer = BuildWriter(job, bases, surroundings, Layout.create(job.output), known)
    with files_of(job, bases, sources, inputs, secrets) as (capture, meter, notes):
        return writer.write(capture, meter, inputs, notes)
