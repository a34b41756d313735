"""Commands about recipes: build, plan, lock, schema, clean."""

from __future__ import annotations

import json
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from assembler.cli import faces, options, surroundings
from assembler.cli.show import emit
from assembler.cli.terminal import Terminal
from assembler.commands import build as build_command
from assembler.commands.budget import raise_if_broken
from assembler.commands.clean import clean as clean_up
from assembler.commands.lock import lock as pin
from assembler.commands.plan import plan as make_plan
from assembler.commands.recipe import open_recipe
from assembler.recipe.schema import schema_text
from assembler.report.schema import schema_text as report_schema_text
from assembler.source.cache import Cache
from assembler.source.download import new_client
from assembler.source.fetch import Fetcher

if TYPE_CHECKING:
    from collections.abc import Iterator



def register(app: typer.Typer) -> None:
    for command in (build, plan, lock, schema, clean):
        app.command()(command)


def build(
    recipe: options.RecipeFile,
    settings: options.Set = None,
    output: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(metavar="DIR", help="Where the OCI layout goes.", show_default="build/<name of the recipe>"),
    ] = None,
    engine: options.EngineOption = None,
    keep_container: options.KeepContainer = False,
    capture: Annotated[
        options.WayName,
        typer.Option(help="How the container's files are read: in place (overlay) or out of two exports."),
    ] = options.WayName.auto,
    refresh: options.Refresh = False,
    inspect_base: options.InspectBase = False,
    verify: options.Verify = False,
    created: options.Created = None,
    platform: options.PlatformOption = None,
    html: faces.Html = None,
    svg: faces.Svg = None,
    junit: faces.Junit = None,
    markdown: faces.Markdown = False,
    as_json: options.Json = False,
    verbose: options.Verbose = False,
    quiet: options.Quiet = False,
) -> None:
    """Run the recipe's steps in one container, and write each of its images with one new layer to an OCI layout.

    SOURCE_DATE_EPOCH, where set, is the latest time that a new file in the layer can have; the steps find it set, too.
    """
    terminal = Terminal(verbose=verbose, quiet=quiet)
    wanted = open_recipe(recipe, options.overrides(settings))
    place = output or Path("build", wanted.name)
    with _fetcher(terminal) as fetcher:
        record = build_command.build(
            wanted,
            options.engine(engine) if build_command.needs_engine(wanted) else None,
            fetcher,
            terminal,
            build_command.Options(
                output=place,
                cache=surroundings.cache_folder(),
                build=surroundings.build_id(),
                clock=time.monotonic,
                registries=options.registries(terminal),
                platform=options.platform(platform, wanted) or surroundings.platform(),
                inspect_base=inspect_base,
                verify=verify,
                way=capture.value,
                keep_container=keep_container,
                clamp=surroundings.source_date_epoch(),
                created=options.created(created),
                now=time.time(),
                refresh=refresh,
            ),
        )
    surroundings.remember_build(place)
    faces.Faces(as_json, markdown, html, svg, junit, quiet).show(record)
    raise_if_broken(record)
    terminal.say(f"the image is in {place}; imgasm push puts it into a registry, imgasm load into the local engine")


def plan(recipe: options.RecipeFile, settings: options.Set = None, as_json: options.Json = False) -> None:
    """Show what a build would do, with every variable replaced. Needs no engine and no network."""
    plan = make_plan(open_recipe(recipe, options.overrides(settings)))
    emit(json.dumps(plan.to_json(), indent=1) if as_json else "\n".join(plan.lines()))


def lock(recipe: options.RecipeFile, settings: options.Set = None, as_json: options.Json = False) -> None:
    """Fetch the sources that have no sha256 yet, and pin what they are in the lock file beside the recipe."""
    with _fetcher(Terminal()) as fetcher:
        pins = pin(open_recipe(recipe, options.overrides(settings)), fetcher)
    if as_json:
        emit(json.dumps({source.declared: {"sha256": pin.sha256, "size": pin.size} for source, pin in pins.items()}))
    else:
        emit("\n".join(f"{pin.sha256}  {source.declared}" for source, pin in pins.items()) or "nothing new to pin")


def schema(
    report: Annotated[bool, typer.Option("--report", help="The schema of what size-report --json prints.")] = False,
) -> None:
    """Print the JSON Schema of recipes, for editors that check and complete them."""
    emit(report_schema_text() if report else schema_text())


def clean(
    engine: options.EngineOption = None,
    every: Annotated[
        bool, typer.Option("--all", help="Also what another machine's imgasm made and may still use.")
    ] = False,
    as_json: options.Json = False,
) -> None:
    """Remove what killed builds left in the engine: containers and volumes whose imgasm is gone."""
    removed = clean_up(options.engine(engine), every=every)
    emit(json.dumps(removed) if as_json else "\n".join(removed) or "nothing was left behind")


@contextmanager
def _fetcher(terminal: Terminal) -> Iterator[Fetcher]:
    with new_client() as client:
        yield Fetcher(Cache(surroundings.cache_folder() / "sources"), client, terminal)
