"""Commands about recipes: build, plan, lock, schema, clean."""

from __future__ import annotations

import json
import time
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from assembler.cli import last_build, options, surroundings
from assembler.cli.connection import Connection
from assembler.cli.faces import Faces
from assembler.cli.groups import takes_groups
from assembler.cli.options import Loudness, RecipeChoice
from assembler.cli.show import emit, emit_json
from assembler.cli.terminal import Terminal
from assembler.errors import UsageError, masked
from assembler.model.moment import parse_created
from assembler.progress import MaskedProgress

if TYPE_CHECKING:
    from collections.abc import Iterator

    from assembler.model.platform import Platform
    from assembler.progress import Progress
    from assembler.recipe.model import Recipe
    from assembler.source.fetch import Fetcher


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
    engine: options.EngineOption = None
    keep_container: Annotated[
        bool, typer.Option("--keep-container", help="Leave the container for a look inside; imgasm clean removes it.")
    ] = False
    capture: Annotated[
        WayName, typer.Option(help="How the container's files are read: in place (overlay) or out of two exports.")
    ] = WayName.auto
    refresh: Annotated[
        bool, typer.Option("--refresh", help="Make or pull the base anew although it is in the cache.")
    ] = False
    inspect_base: Annotated[
        bool, typer.Option("--inspect-base", help="Read the layers of a base in a registry, to leave out what it has.")
    ] = False
    verify: Annotated[
        bool, typer.Option("--verify", help="Prove each layer before the container goes; see the README for the cost.")
    ] = False
    created: Annotated[
        str | None,
        typer.Option("--created", metavar="TIME",
                     help="Date the images: 2026-01-02T03:04:05Z, source_date_epoch, or now. "
                          "By default they say what was done, not when."),
    ] = None  # fmt: skip
    platform: Annotated[
        str | None,
        typer.Option("--platform", metavar="OS/ARCH",
                     help="What a build without steps is for: a base for another one is refused."),
    ] = None  # fmt: skip

    def platform_of(self, recipe: Recipe) -> Platform | None:
        """What ``--platform`` says; with steps it is the base that says what they run on."""
        if self.platform is not None and recipe.steps:
            raise UsageError("--platform is for builds without steps",
                             hint="Steps run on the base's platform: name another base, or set [base.bootstrap] "
                                  "architecture.")  # fmt: skip
        return options.platform(self.platform)

    def created_at(self) -> str | None:
        try:
            return parse_created(self.created) if self.created else None
        except ValueError as error:
            raise UsageError(f"--created: {error}", hint="The time needs a zone: Z, or +01:00.") from error

    def refuse_idle(self, recipe: Recipe) -> None:
        """UsageError for options about a container, where none is made. ``--engine`` may be the environment's."""
        idle = [name for name, given in (("--keep-container", self.keep_container),
                                         ("--capture", self.capture is not WayName.auto)) if given]
        if idle and not recipe.steps:
            raise UsageError(f"{' and '.join(idle)}: a recipe without steps is built without a container",
                             hint="Leave the option out.")


def register(app: typer.Typer) -> None:
    for command in (build, plan, lock, schema, clean):
        app.command()(takes_groups(command))


def build(
    recipe: RecipeChoice,
    making: Making,
    faces: Faces,
    connection: Connection,
    loudness: Loudness,
) -> None:
    """Run the recipe's steps in one container, and write each of its images with one new layer to an OCI layout.

    SOURCE_DATE_EPOCH, where set, is the latest time that a new file in the layer can have; the steps find it set, too.
    Registries are met for bases and baselines that are in one. A recipe without steps needs no engine.
    """
    from assembler.commands import build as use
    from assembler.commands.budget import raise_if_broken

    open_terminal = loudness.terminal()
    identity = last_build.begin(str(recipe.recipe), open_terminal)
    wanted = recipe.open()
    terminal = MaskedProgress(open_terminal, wanted.secrets.mask)
    making.refuse_idle(wanted)
    faces.refuse_unwritable()
    place = making.output or Path("build", wanted.name)
    with masked(wanted.secrets.mask), _fetcher(terminal) as fetcher:
        record = use.build(
            wanted,
            options.engine(making.engine) if use.needs_engine(wanted) else None,
            fetcher,
            terminal,
            use.Options(
                output=place,
                cache=surroundings.cache_folder(),
                build=identity,
                clock=time.monotonic,
                registries=connection.registries(terminal),
                connect=options.engine,
                machine=surroundings.platform(),
                platform=making.platform_of(wanted),
                inspect_base=making.inspect_base,
                verify=making.verify,
                way=making.capture.value,
                keep_container=making.keep_container,
                clamp=surroundings.source_date_epoch(),
                created=making.created_at(),
                now=time.time(),
                refresh=making.refresh,
            ),
        )
    last_build.finish(identity, place)
    faces.show(record, quiet=loudness.quiet)
    raise_if_broken(record)
    terminal.say(f"the image is in {place}; imgasm push puts it into a registry, imgasm load into the local engine")


def plan(recipe: RecipeChoice, as_json: options.Json = False) -> None:
    """Show what a build would do, with every variable replaced. Needs no engine and no network."""
    from assembler.commands.plan import plan as make_plan

    plan = make_plan(recipe.open())
    if as_json:
        emit_json(json.dumps(plan.to_json(), indent=1))
    else:
        emit("\n".join(plan.lines()))


def lock(recipe: RecipeChoice, as_json: options.Json = False) -> None:
    """Fetch the sources that have no sha256 yet, and pin what they are in the lock file beside the recipe."""
    from assembler.commands.lock import lock as pin

    wanted = recipe.open()
    mask = wanted.secrets.mask
    with masked(mask), _fetcher(MaskedProgress(Terminal(), mask)) as fetcher:
        pins = pin(wanted, fetcher)
    if as_json:
        emit_json(json.dumps({one.declared: {"sha256": pin.sha256, "size": pin.size} for one, pin in pins.items()}))
    else:
        emit("\n".join(f"{pin.sha256}  {one.declared}" for one, pin in pins.items()) or "nothing new to pin")


def schema(
    report: Annotated[bool, typer.Option("--report", help="The schema of what size-report --json prints.")] = False,
    presets: Annotated[bool, typer.Option("--presets", help="What a recipe's [prune] presets are, and their globs.")]
    = False,
) -> None:
    """Print the JSON Schema of recipes, for editors that check and complete them."""
    if presets:
        from assembler.recipe.schema import presets_text

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
    engine: options.EngineOption = None,
    every: Annotated[
        bool, typer.Option("--all", help="Also what another machine's imgasm made and may still use.")
    ] = False,
    as_json: options.Json = False,
) -> None:
    """Remove what killed builds left in the engine: containers and volumes whose imgasm is gone."""
    from assembler.commands.clean import clean as clean_up

    removed = clean_up(options.engine(engine), every=every)
    if as_json:
        emit_json(json.dumps(removed))
    else:
        emit("\n".join(removed) or "nothing was left behind")


@contextmanager
def _fetcher(terminal: Progress) -> Iterator[Fetcher]:
    from assembler.source.cache import Cache
    from assembler.source.download import new_client
    from assembler.source.fetch import Fetcher

    with new_client() as client:
        yield Fetcher(Cache(surroundings.cache_folder() / "sources"), client, terminal)
