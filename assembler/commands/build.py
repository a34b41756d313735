"""``imgasm build``: from a recipe to an OCI layout with one new layer for each image."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from secrets import token_hex
from typing import TYPE_CHECKING

from assembler.commands.attribution import Attribution
from assembler.commands.bases import Bases, Policy
from assembler.commands.budget import check_budgets, through_links
from assembler.commands.budget_baseline import find_baselines
from assembler.commands.capture_container import Reader
from assembler.commands.capture_without_container import still
from assembler.commands.changes_under_mounts import refuse_what_is_lost
from assembler.commands.disk_space import check_room
from assembler.commands.lock import fetch_sources
from assembler.commands.recipe_files import write_files
from assembler.commands.target_platform import Target
from assembler.commands.timestamps import with_times
from assembler.commands.write_images import write_images
from assembler.commands.write_record import Outcome, engine_name, keep_record, make_record
from assembler.engine.container import Bind, ContainerSpec
from assembler.engine.preflight import check_container_tmp
from assembler.engine.step import Command
from assembler.engine.writable_layer import writable_layer
from assembler.errors import UsageError, masked
from assembler.image.layout import Layout
from assembler.image.layout_cache import LayoutCache
from assembler.measure.step_meter import Directories, Meter
from assembler.model.size import human
from assembler.progress import line_by_line
from assembler.recipe.lint import warnings
from assembler.report.build_text import idle_rules

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from assembler.changeset.capture import Capture
    from assembler.commands.capture_container import Way
    from assembler.engine.client import Engine
    from assembler.engine.session import Session
    from assembler.model.place import EngineName
    from assembler.model.platform import Platform
    from assembler.places.world import World
    from assembler.progress import Progress
    from assembler.recipe.recipe import Recipe
    from assembler.recipe.sources import Source
    from assembler.recipe.steps import Step
    from assembler.report.build_record import BuildRecord
    from assembler.source.fetch import Fetched


def new_build_id() -> str:
    """Tells a build's container from all others."""
    return token_hex(6)


@dataclass(frozen=True, slots=True)
class BuildOptions:
    """How a recipe is built.

    ``engine``          ``docker`` or ``podman``; by default the world's
    ``platform``        what a build without steps is for; a base for another one is refused
    ``way``             how the container's files are read: in place (``overlay``), out of two exports (``export``), or
                        in place where that can be (``auto``)
    ``created``         dates the images, and wins over the recipe: RFC 3339, ``source_date_epoch`` or ``now``
    ``refresh``         gets the base anew although the engine or the cache has it
    ``inspect_base``    reads the layers of bases that are in a registry, to leave out what they have
    ``verify``          proves each layer while the container is still there
    ``keep_container``  leaves the container in the engine
    ``build``           names this build towards the engine, which must not know another one of that name
    """

    engine: EngineName | None = None
    platform: Platform | None = None
    way: Way = "auto"
    created: str | None = None
    refresh: bool = False
    inspect_base: bool = False
    verify: bool = False
    keep_container: bool = False
    build: str = field(default_factory=new_build_id)


def needs_engine(recipe: Recipe) -> bool:
    """Without steps nothing runs: the files come from the base's layers and the recipe."""
    return bool(recipe.steps)


def build(recipe: Recipe, output: Path, world: World, options: BuildOptions) -> BuildRecord:
    """Runs the recipe. The layout and the record of the build lie in the directory ``output`` afterwards.

    The world's SOURCE_DATE_EPOCH, a time in seconds that no new file's mtime exceeds, wins over the recipe's.

    What is over its budget stands in the record; to fail for it is the caller's business, when it has shown the report.

    The container and its volumes are removed when this returns or raises, unless ``options.keep_container``. By then
    the record lies beside the images: what goes wrong with the removal is a warning, and takes nothing away.

    None of the recipe's secrets is in what is told, or in an error.
    """
    mask = recipe.secrets.mask
    with masked(mask):
        _refuse_contradictions(recipe, options)
        recipe = with_times(recipe, world.settings.source_date_epoch(), options.created, world.clock.wall())
        engine = world.engine(options.engine) if needs_engine(recipe) else None
        return _build(_Job(recipe, engine, output, world.masked(mask), options))


@dataclass(frozen=True, slots=True)
class _Job:
    """One build. ``engine`` is None for a recipe that :func:`needs_engine` none."""

    recipe: Recipe
    engine: Engine | None
    output: Path
    world: World
    options: BuildOptions

    def target(self) -> Target:
        here = self.world.platform
        return Target(here, self.engine.info.platform if self.engine else here, self.options.platform)


def _refuse_contradictions(recipe: Recipe, options: BuildOptions) -> None:
    """UsageError for a platform where steps run on the base's, and for what is about a container where none is made."""
    if options.platform is not None and recipe.steps:
        raise UsageError("--platform is for builds without steps",
                         hint="Steps run on the base's platform: name another base, or set [base.bootstrap] "
                              "architecture.")  # fmt: skip
    given = (("--keep-container", options.keep_container), ("--capture", options.way != "auto"))
    idle = [name for name, is_given in given if is_given]
    if idle and not recipe.steps:
        raise UsageError(f"{' and '.join(idle)}: a recipe without steps is built without a container",
                         hint="Leave the option out.")


def _build(job: _Job) -> BuildRecord:
    recipe, engine, world, options = job.recipe, job.engine, job.world, job.options
    progress = world.progress
    for warning in warnings(recipe):
        progress.warn(warning)
    if engine is not None:
        check_room(engine, job.output, recipe.name, progress)
    with LayoutCache(world.cache / "bases", progress) as cache:
        bases = Bases(engine, world, job.target(), cache, Policy(options.refresh, options.inspect_base))
        sources = _sources(job)
        platform = bases.resolve(recipe.base)
        baselines = find_baselines(recipe.images, world, platform)
        layout = Layout.create(job.output)
        with _files(job, bases, sources) as (capture, meter):
            written = write_images(recipe, capture, layout, bases, verify=options.verify)
            outcomes = [Outcome(image, one) for image, one in zip(recipe.images, written, strict=True)]
            ran = engine_name(engine.info, capture) if engine else None
            record = make_record(recipe, ran, Attribution(capture, meter, recipe.prune.presets), outcomes, layout)
            budgets = {image.name: image.budget for image in recipe.images}
            record = check_budgets(record, budgets, baselines, through_links(budgets.values(), capture.final))
            keep_record(record, layout, progress)
    for rule in idle_rules(record):
        progress.warn(f"{rule} matched nothing: is it still needed?")
    return record


def _sources(job: _Job) -> Mapping[Source, Fetched]:
    if not job.recipe.sources or job.engine is None:
        return {}
    with job.world.fetcher() as fetcher:
        return fetch_sources(job.recipe, fetcher)


@contextmanager
def _files(job: _Job, bases: Bases, sources: Mapping[Source, Fetched]) -> Iterator[tuple[Capture, Meter]]:
    """What the images are made of, and what it cost."""
    recipe, engine, progress, clock = job.recipe, job.engine, job.world.progress, job.world.clock.monotonic
    if engine is None:
        with still(recipe, bases, job.output) as capture:
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
        refuse_what_is_lost(session, recipe, "a [[file]]")
        meter = Meter(_directories(session), clock, session.size_rw)
        _run_steps(session, recipe, meter, progress)
        reader = Reader(session, base, recipe.images, job.output, progress)
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
        refuse_what_is_lost(session, recipe, f"step {step.name!r}")


def _run_step(session: Session, recipe: Recipe, step: Step, on_output: Callable[[str], None]) -> None:
    env = {**_clamp(recipe), **recipe.container.env, **step.env}
    session.run(Command(step.name, step.argv, env, step.workdir, step.user, step.timeout), on_output)


def _clamp(recipe: Recipe) -> dict[str, str]:
    """Compilers, archivers and kbuild write the time into files, where no clamp of ours reaches; but they ask this."""
    return {} if recipe.source_date_epoch is None else {"SOURCE_DATE_EPOCH": str(recipe.source_date_epoch)}
