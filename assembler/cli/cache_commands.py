"""``imgasm cache``."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from assembler.cli import shared_options
from assembler.cli.option_groups import takes_groups
from assembler.cli.output import emit, emit_json
from assembler.cli.registry_options import RegistryOptions
from assembler.cli.shared_options import RecipeChoice, SetEnvOption, SetFileOption, SetOption
from assembler.cli.terminal import Terminal
from assembler.errors import UsageError

if TYPE_CHECKING:
    from assembler.commands.checkpoint_store import Limits


@dataclass(frozen=True)
class AskedRecipe:
    """A recipe that is asked about, with other values for its variables."""

    recipe: Annotated[
        Path | None,
        typer.Argument(metavar="RECIPE", help="Say of each of its checkpoints why a build does not start there."),
    ] = None
    settings: SetOption = None
    from_environment: SetEnvOption = None
    from_files: SetFileOption = None
    engine: shared_options.EngineOption = None


@dataclass(frozen=True)
class Pruning:
    """What is removed."""

    prune: Annotated[
        bool, typer.Option("--prune", help="Remove what is over the limits, the longest unused first.")
    ] = False
    max_size: Annotated[str, typer.Option(metavar="SIZE", help="Of all checkpoints together: 0 removes all.")] = "20GB"
    max_age: Annotated[str, typer.Option(metavar="TIME", help="Since the last use: 12h, 720h.")] = "720h"

    def limits(self) -> Limits:
        from assembler.commands.checkpoint_store import Limits
        from assembler.model.duration import parse_duration
        from assembler.model.size import parse_size

        try:
            size = 0 if self.max_size == "0" else parse_size(self.max_size)
            return Limits(size, parse_duration(self.max_age))
        except ValueError as error:
            raise UsageError(str(error), hint="Write it as --max-size 20GB --max-age 720h.") from error


def register(app: typer.Typer) -> None:
    app.command()(takes_groups(cache))


def cache(
    asked: AskedRecipe, pruning: Pruning, connection: RegistryOptions, as_json: shared_options.Json = False
) -> None:
    """List the checkpoints that builds of this user start from, prune them, or explain why one is not taken.

    Builds prune by themselves, to 20 GB and 30 days since the last use.
    """
    from assembler.commands import cache as use

    world = connection.world(Terminal())
    if pruning.prune:
        found = use.prune(world, pruning.limits())
    elif asked.recipe is not None:
        recipe = RecipeChoice(asked.recipe, asked.settings, asked.from_environment, asked.from_files).open()
        engine = asked.engine
        found = use.explain(recipe, Path("build", recipe.name), world, engine)
    else:
        found = use.checkpoints(world)
    if as_json:
        emit_json(json.dumps([one.to_json() for one in found], indent=1))
    else:
        emit("\n".join(one.line() for one in found) or "no checkpoint")
