"""Commands about builds whose containers were kept: resume, assemble, shell."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from assembler.cli import environment, last_build
from assembler.cli.failure_options import KeepContainer, OnFailure, OnFailureChoice, fate, shell_on_failure
from assembler.cli.kept_shell import enter
from assembler.cli.option_groups import takes_groups
from assembler.cli.registry_options import RegistryOptions
from assembler.cli.report_options import ReportOptions
from assembler.cli.shared_options import Loudness, RecipeChoice, SetEnvOption, SetFileOption, SetOption
from assembler.cli.terminal import Terminal

if TYPE_CHECKING:
    from assembler.commands.kept_builds import KeptBuild
    from assembler.commands.resume import Going
    from assembler.places.world import World


@dataclass(frozen=True)
class KeptChoice:
    """A kept build. Values that its recipe's variables were given are given again."""

    what: Annotated[
        str | None,
        typer.Argument(metavar="BUILD", help="A kept container, or its build. By default this directory's last build."),
    ] = None
    settings: SetOption = None
    from_environment: SetEnvOption = None
    from_files: SetFileOption = None

    def find(self, world: World) -> KeptBuild:
        from assembler.commands.kept_builds import KeptBuilds

        return KeptBuilds(world.kept).find(self.what or last_build.last_id())

    def recipe(self, kept: KeptBuild) -> RecipeChoice:
        given = kept.given
        return RecipeChoice(
            Path(kept.recipe),
            [*given.pairs, *(self.settings or ())],
            [*given.variables, *(self.from_environment or ())],
            [*given.files, *(self.from_files or ())],
        )


@dataclass(frozen=True)
class Resuming(KeptChoice):
    """And what becomes of its container now."""

    keep_container: KeepContainer = False
    on_failure: OnFailureChoice = OnFailure.keep


def register(app: typer.Typer) -> None:
    for command in (resume, assemble, shell):
        app.command()(takes_groups(command))


def resume(kept: Resuming, faces: ReportOptions, connection: RegistryOptions, loudness: Loudness) -> None:
    """Go on with a build that failed: at that step, in the same container, with the recipe as it is now.

    Steps from there on may have been edited. What was done already must be as it was: an edit of it is an error that
    names it.
    """
    from assembler.commands.resume import Going

    going = Going(keep_container=kept.keep_container, on_failure=fate(kept.on_failure, kept=True))
    world = connection.world(loudness.terminal())
    found = kept.find(world)
    with shell_on_failure(kept.on_failure, found.build, kept.recipe(found), world):
        _go_on(kept, going, faces, world, loudness)


def assemble(kept: KeptChoice, faces: ReportOptions, connection: RegistryOptions, loudness: Loudness) -> None:
    """Make the images of a kept container again, with keep, prune and [[image]] as the recipe has them now.

    No step runs, and the container stays: build with --keep-container, and try until the image is right.
    """
    from assembler.commands.resume import Going

    going = Going(assemble=True, keep_container=True)
    _go_on(kept, going, faces, connection.world(loudness.terminal()), loudness)


def _go_on(choice: KeptChoice, going: Going, faces: ReportOptions, world: World, loudness: Loudness) -> None:
    from assembler.commands.budget import raise_if_broken
    from assembler.commands.resume import resume as run

    faces.refuse_unwritable()
    kept = choice.find(world)
    recipe = choice.recipe(kept).open()
    world.progress.say(f"going on in {kept.container} (of {kept.recipe})")
    record = run(kept, recipe, world, going)
    last_build.finish(kept.build, Path(kept.output))
    faces.show(record, quiet=loudness.quiet)
    raise_if_broken(record)
    world.progress.say(last_build.what_next(kept.output))


def shell(kept: KeptChoice) -> None:
    """Enter the container of a build that failed or was kept, as a step would find it.

    Environment, directory and user are those of the step that failed, or of the last one. Secrets are there, too.
    """
    from assembler.places.world import World

    world = World.from_settings(environment.settings(), Terminal())
    found = kept.find(world)
    sys.exit(enter(found, kept.recipe(found), world))
