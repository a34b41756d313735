"""Commands about recipes: build, init, plan, lock, recipes, schema, clean."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from assembler.cli import environment, last_build, shared_options
from assembler.cli.failure_options import KeepContainer, OnFailureChoice, fate, shell_on_failure
from assembler.cli.option_groups import takes_groups
from assembler.cli.output import emit, emit_json
from assembler.cli.registry_options import RegistryOptions
from assembler.cli.report_options import ReportOptions
from assembler.cli.shared_options import Loudness, RecipeChoice
from assembler.cli.terminal import Terminal
from assembler.errors import UsageError, masked

if TYPE_CHECKING:
    from assembler.commands.job import BuildOptions
    from assembler.commands.kept_builds import Given


class JobKind(StrEnum):
    module = "module"
    plain = "plain"
    thin = "thin"


class WayName(StrEnum):
    auto = "auto"
    overlay = "overlay"
    export = "export"


@dataclass(frozen=True)
class Making:
    """How a recipe is built."""

    output: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Where the OCI layout goes.", show_default="build/<name of the recipe>"),
    ] = None
    engine: shared_options.EngineOption = None
    no_cache: Annotated[
        bool, typer.Option("--no-cache", help="Run every step, even if nothing changed since the last build.")
    ] = False
    cache_from: Annotated[
        list[str] | None,
        typer.Option("--cache-from", metavar="PLACE",
                     help="Start from checkpoints that another machine has put there: a directory, or a repository of "
                          "a registry. Can be given several times. Who may write there decides what the images hold."),
    ] = None  # fmt: skip
    cache_to: Annotated[
        str | None,
        typer.Option("--cache-to", metavar="PLACE", help="Put this build's checkpoints there, for --cache-from."),
    ] = None
    keep_container: KeepContainer = False
    on_failure: OnFailureChoice = None
    capture: Annotated[
        WayName, typer.Option(help="How to read the container's files: in place (overlay) or by comparing exports.")
    ] = WayName.auto
    refresh: Annotated[
        bool, typer.Option("--refresh", help="Make or pull the base again, even if it is in the cache.")
    ] = False
    inspect_base: Annotated[
        bool,
        typer.Option("--inspect-base", help="Read the layers of a base in a registry, to leave out what it has."),
    ] = False
    prove: Annotated[
        bool,
        typer.Option("--prove", help="Prove, before the container is removed, that each layer makes the same files "
                     "and has nothing superfluous in it. (imgasm verify checks a finished image.)"),
    ] = False  # fmt: skip
    verify: Annotated[bool, typer.Option("--verify", hidden=True, help="The former name of --prove.")] = False
    allow_refused_modules: Annotated[
        bool,
        typer.Option("--allow-refused-modules", help="Write images although a kernel would refuse their modules."),
    ] = False
    created: Annotated[
        str | None,
        typer.Option("--created", metavar="TIME",
                     help="Date the images: 2026-01-02T03:04:05Z, source_date_epoch, or now. "
                          "By default they have no date."),
    ] = None  # fmt: skip
    platform: Annotated[
        str | None,
        typer.Option("--platform", metavar="OS/ARCH",
                     help="The platform of a build without steps. A base for another one is refused."),
    ] = None  # fmt: skip

    def build_options(self, build: str, given: Given) -> BuildOptions:
        from assembler.commands.job import BuildOptions
        from assembler.commands.shared_checkpoints import shared_place

        return BuildOptions(
            engine=self.engine,
            platform=shared_options.platform(self.platform),
            cache=not self.no_cache,
            way=self.capture.value,
            created=self.created,
            refresh=self.refresh,
            inspect_base=self.inspect_base,
            prove=self.prove or self.verify,
            may_refuse=self.allow_refused_modules,
            keep_container=self.keep_container,
            on_failure=fate(self.on_failure, kept=self.keep_container),
            cache_from=tuple(map(shared_place, self.cache_from or ())),
            cache_to=shared_place(self.cache_to) if self.cache_to else None,
            build=build,
            given=given,
        )


def register(app: typer.Typer) -> None:
    for command in (build, init, plan, lock, recipes, schema, clean):
        app.command()(takes_groups(command))


def build(
    recipe: RecipeChoice,
    making: Making,
    faces: ReportOptions,
    connection: RegistryOptions,
    loudness: Loudness,
) -> None:
    """Run the recipe's steps in one container, and write each of its images with one new layer to an OCI layout.

    SOURCE_DATE_EPOCH, if set, is the latest time that a new file in the layer can have; the steps see it, too. A
    registry is asked only for a base or baseline that is in one. A recipe without steps needs no engine.
    """
    from assembler.commands.budget import raise_if_broken
    from assembler.commands.build import build as run_build

    terminal = loudness.terminal()
    identity = last_build.begin(str(recipe.recipe), terminal)
    wanted = recipe.open()
    faces.refuse_unwritable()
    place = making.output or Path("build", wanted.name)
    world = connection.world(terminal)
    with shell_on_failure(making.on_failure, identity, recipe, world):
        record = run_build(wanted, place, world, making.build_options(identity, recipe.given(wanted.secrets)))
    last_build.finish(identity, place)
    faces.show(record, quiet=loudness.quiet)
    raise_if_broken(record)
    terminal.say(last_build.what_next(place))


_TO: Final = typer.Option(metavar="DIR", file_okay=False, help="The directory to copy into.", show_default="here")


def init(
    kind: Annotated[
        JobKind, typer.Argument(help="module: a kernel module of your own. plain: a program on a small Debian. "
                                "thin: one layer more on an image that is never pulled.")
    ] = JobKind.plain,
    to: Annotated[Path, _TO] = Path(),
) -> None:  # fmt: skip
    """Write a commented recipe to begin with, and what it uses. It is ready to build.

    Nothing is asked. A file that is there already is never replaced.
    """
    from assembler.commands.recipes import copy_first

    recipe = copy_first(kind.value, to)
    emit(str(recipe))
    Terminal().say(f"imgasm build {recipe} builds it; its first lines say what else there is to do")


def plan(recipe: RecipeChoice, as_json: shared_options.Json = False) -> None:
    """Show what a build would do, with every variable replaced. Needs no engine and no network."""
    from assembler.commands.plan import plan as make_plan

    plan = make_plan(recipe.open())
    if as_json:
        emit_json(json.dumps(plan.to_json(), indent=1))
    else:
        emit("\n".join(plan.lines()))


def lock(recipe: RecipeChoice, as_json: shared_options.Json = False) -> None:
    """Fetch the sources that have no sha256 yet, and pin them in the lock file beside the recipe."""
    from assembler.commands.lock import lock as pin
    from assembler.places.world import World

    wanted = recipe.open()
    mask = wanted.secrets.mask
    with masked(mask), World.from_settings(environment.settings(), Terminal()).masked(mask).fetcher() as fetcher:
        pins = pin(wanted, fetcher)
    if as_json:
        emit_json(json.dumps({one.declared: {"sha256": pin.sha256, "size": pin.size} for one, pin in pins.items()}))
    else:
        emit("\n".join(f"{pin.sha256}  {one.declared}" for one, pin in pins.items()) or "nothing new to pin")


def recipes(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="NAME", help="Copy these recipes, with the files that they use."),
    ] = None,
    to: Annotated[Path, _TO] = Path(),
    as_json: shared_options.Json = False,
) -> None:
    """List the recipes that come with imgasm, or copy some to build or change them.

    The name modules stands for the loader that goes into images of kernel modules: imgasm recipes modules.
    """
    from assembler.commands.recipes import copy_examples, examples

    if names:
        copied = copy_examples(names, to)
        emit(json.dumps([str(path) for path in copied]) if as_json else "\n".join(str(path) for path in copied))
        return
    found = examples()
    if as_json:
        emit(json.dumps([{**asdict(each), "files": [str(file) for file in each.files]} for each in found], indent=2))
        return
    width = max(len(each.name) for each in found)
    emit("\n".join(f"{each.name:{width}}  {each.title}" for each in found))
    Terminal().say("imgasm recipes NAME copies one here; imgasm recipes modules copies the loader of kernel modules")


def schema(
    report: Annotated[
        bool,
        typer.Option("--report", help="The schema of what size-report, compare and verify --kernel print with --json."),
    ] = False,
    presets: Annotated[bool, typer.Option("--presets", help="What a recipe's [prune] presets are, and their globs.")]
    = False,
) -> None:
    """Print the JSON Schema of recipes, for editors that check and complete them."""
    if presets:
        from assembler.recipe.prune import presets_text

        if report:
            raise UsageError("--presets and --report contradict each other", hint="Give one of them.")
        emit(presets_text())
        return
    if report:
        from assembler.report.schema import schema_text
    else:
        from assembler.recipe.schema import schema_text
    emit_json(schema_text())


def clean(
    layouts: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[DIR]...", help="Layouts from which to remove blobs that no image needs.",
                       exists=True, file_okay=False),
    ] = None,
    engine: shared_options.EngineOption = None,
    every: Annotated[
        bool, typer.Option("--all", help="Also remove from the engine what another machine may still use.")
    ] = False,
    kept: Annotated[bool, typer.Option("--kept", help="Also the containers that builds have kept.")] = False,
    as_json: shared_options.Json = False,
) -> None:
    """Remove what killed builds left in the cache, and the containers and volumes that they left in the engine.

    Containers that were kept (--on-failure keep, --keep-container) stay. Their age is shown.

    With names of layouts, only these are cleaned: blobs that former builds left are removed. What may be in use stays.
    """
    from assembler.commands.clean import clean_bases, clean_cache, clean_engine, clean_layouts
    from assembler.places.world import World

    world = World.from_settings(environment.settings(), Terminal())
    removed = clean_layouts(layouts) if layouts else [*clean_cache(world.cache), *clean_bases(world.cache)]
    try:
        if not layouts:
            removed += clean_engine(world.runner(engine), world, every=every, kept=kept)
    finally:
        if as_json:
            emit_json(json.dumps(removed))
        else:
            emit("\n".join(removed) or "nothing to remove")
