"""``imgasm build``: from a recipe to an OCI layout with one new layer for each image."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from assembler.commands.base import Bases
from assembler.commands.baseline import find_baselines
from assembler.commands.budget import check_budgets, through_links
from assembler.commands.files import write_files
from assembler.commands.lock import fetch_sources
from assembler.commands.lost import refuse_what_is_lost
from assembler.commands.reading import Reader
from assembler.commands.record import Outcome, keep_record, make_record
from assembler.commands.room import check_room
from assembler.commands.still import still
from assembler.commands.target import Target
from assembler.commands.times import with_times
from assembler.commands.write_image import write_images
from assembler.engine.container import Bind, ContainerSpec
from assembler.engine.preflight import check_container_tmp
from assembler.engine.writable import writable_layer
from assembler.image.cache import LayoutCache
from assembler.image.layout import Layout
from assembler.model.size import human
from assembler.places.world import World
from assembler.recipe.lint import warnings
from assembler.report.meter import Directories, Meter
from assembler.report.table import idle_rules

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from assembler.changeset.capture import Capture
    from assembler.commands.reading import Way
    from assembler.engine.client import Engine
    from assembler.engine.session import Session
    from assembler.model.place import EngineName
    from assembler.model.platform import Platform
    from assembler.places.registries import Registries
    from assembler.progress import Progress, Task
    from assembler.recipe.model import Recipe, Source, Step
    from assembler.report.record import BuildRecord
    from assembler.source.fetch import Fetched, Fetcher

@dataclass(frozen=True, slots=True)
class Options:
    """``output`` is the layout's directory; ``build`` names this build towards the engine.

    ``clamp`` is a time in seconds that no new file's mtime exceeds (SOURCE_DATE_EPOCH); it and ``created`` win over
    the recipe's. ``now`` is when the build began, in seconds since 1970.
    ``refresh`` gets the base anew although the engine or the cache has it. ``inspect_base`` reads the layers of bases
    that are in a registry. ``machine`` is the platform of this machine, ``platform`` the one that was asked for.
    ``verify`` proves each layer while the container is still there. ``connect`` reaches an engine by its name, for
    bases that are taken from one.
    """

    output: Path
    cache: Path
    build: str
    clock: Callable[[], float]
    now: float
    registries: Registries
    connect: Callable[[EngineName], Engine]
    machine: Platform
    platform: Platform | None = None
    way: Way = "auto"
    keep_container: bool = False
    clamp: int | None = None
    created: str | None = None
    refresh: bool = False
    inspect_base: bool = False
    verify: bool = False


def needs_engine(recipe: Recipe) -> bool:
    """Without steps nothing runs: the files come from the base's layers and the recipe."""
    return bool(recipe.steps)


def build(
    recipe: Recipe, engine: Engine | None, fetcher: Fetcher, progress: Progress, options: Options
) -> BuildRecord:
    """Runs the recipe. The layout and the record of the build lie in ``options.output`` afterwards.

    ``engine`` may be None for a recipe that :func:`needs_engine` none.

    What is over its budget stands in the record; to fail for it is the caller's business, when it has shown the report.

    The container and its volumes are removed when this returns or raises, unless ``options.keep_container``. By then
    the record lies beside the images: what goes wrong with the removal is a warning, and takes nothing away.
    """
    recipe = with_times(recipe, options.clamp, options.created, options.now)
    for warning in warnings(recipe):
        progress.warn(warning)
    if engine is not None:
        check_room(engine, options.output, recipe.name, progress)
    target = Target(options.machine, engine.info.platform if engine else options.machine, options.platform)
    world = World(options.registries, options.connect, options.cache, progress, options.machine)
    with LayoutCache(options.cache / "bases", progress) as cache:
        bases = Bases(engine, world, target, cache, refresh=options.refresh, inspect=options.inspect_base)
        sources = fetch_sources(recipe, fetcher) if engine is not None else {}
        platform = bases.resolve(recipe.base)
        baselines = find_baselines(recipe.images, world, platform)
        layout = Layout.create(options.output)
        with _files(recipe, engine, sources, bases, progress, options) as (capture, meter):
            prove_by = options.clock if options.verify else None
            written = write_images(recipe, capture, layout, bases, progress, prove_by=prove_by)
            outcomes = [Outcome(image, one) for image, one in zip(recipe.images, written, strict=True)]
            record = make_record(recipe, engine.info if engine else None, capture, meter, outcomes, layout)
            budgets = {image.name: image.budget for image in recipe.images}
            record = check_budgets(record, budgets, baselines, through_links(budgets.values(), capture.final))
            keep_record(record, layout, progress)
    for rule in idle_rules(record):
        progress.warn(f"{rule} matched nothing: is it still needed?")
    return record


@contextmanager
def _files(
    recipe: Recipe,
    engine: Engine | None,
    sources: Mapping[Source, Fetched],
    bases: Bases,
    progress: Progress,
    options: Options,
) -> Iterator[tuple[Capture, Meter]]:
    """What the images are made of, and what it cost."""
    if engine is None:
        with still(recipe, bases, options.output) as capture:
            yield capture, Meter(Directories(), options.clock)
        return
    base = bases.environment(recipe.base, engine)
    spec = _container(recipe, base, bases.platform, sources, options)
    if not engine.info.platform.runs(bases.platform):
        progress.say(f"the base is for {bases.platform}, and {engine.name} runs on {engine.info.platform}")
    with engine.session(spec, warn=progress.warn, keep=options.keep_container) as session:
        if warning := check_container_tmp(session.mount_table):
            progress.warn(warning)
        write_files(session, recipe.files)
        refuse_what_is_lost(session, recipe, "a [[file]]")
        meter = Meter(_directories(session), options.clock, session.size_rw)
        _run_steps(session, recipe, meter, progress)
        reader = Reader(session, base, recipe.images, options.output, progress)
        with session.paused(), reader.capture(options.way) as capture:
            yield capture, meter


def _container(
    recipe: Recipe, image: str, platform: Platform, sources: Mapping[Source, Fetched], options: Options
) -> ContainerSpec:
    wanted = recipe.container
    return ContainerSpec(
        image=image,
        build=options.build,
        platform=platform,
        privileged=wanted.privileged,
        cap_add=wanted.cap_add,
        security_opt=wanted.security_opt,
        devices=wanted.devices,
        network=wanted.network,
        scratch=wanted.scratch,
        secrets=recipe.secrets,
        binds=tuple(Bind(fetched.path.absolute(), source.path) for source, fetched in sources.items()),
    )


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
        with progress.task(label, unit="lines") as task, meter.step(step.name) as measured:
            _run_step(session, recipe, step, progress, task)
        usage = measured.usage
        if usage is not None:
            added = f", {human(usage.added)} written" if usage.added is not None else ""
            layer = f", {human(usage.layer)} in the container now" if usage.layer is not None else ""
            progress.say(f"{label}: {usage.seconds:.1f} s{added}{layer}")
        refuse_what_is_lost(session, recipe, f"step {step.name!r}")


def _run_step(session: Session, recipe: Recipe, step: Step, progress: Progress, task: Task) -> None:
    def on_output(line: str) -> None:
        progress.output(line)
        task.note(line)
        task.advance(1)

    session.run(
        step.argv,
        name=step.name,
        env={**_clamp(recipe), **recipe.container.env, **step.env},
        workdir=step.workdir,
        user=step.user,
        timeout=step.timeout,
        on_output=on_output,
    )


def _clamp(recipe: Recipe) -> dict[str, str]:
    """Compilers, archivers and kbuild write the time into files, where no clamp of ours reaches; but they ask this."""
    return {} if recipe.source_date_epoch is None else {"SOURCE_DATE_EPOCH": str(recipe.source_date_epoch)}
