"""Commands about builds that are made again: rebuild."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from assembler.cli import shared_options
from assembler.cli.last_build import last_build
from assembler.cli.option_groups import takes_groups
from assembler.cli.output import emit, emit_json
from assembler.cli.registry_options import RegistryOptions
from assembler.cli.shared_options import Printing, SetEnvOption, SetFileOption
from assembler.cli.variable_values import given_values

if TYPE_CHECKING:
    from assembler.commands.rebuild import Again


class Provocation(StrEnum):
    umask = "umask"
    locale = "locale"
    timezone = "timezone"
    cpus = "cpus"


@dataclass(frozen=True)
class Repeating:
    """How a build is made again."""

    recipe: Annotated[
        Path | None,
        typer.Option("--recipe", metavar="RECIPE", exists=True, dir_okay=False,
                     help="Where the recipe is now, if it is not where it was. It must be the same, to the byte."),
    ] = None  # fmt: skip
    from_environment: SetEnvOption = None
    from_files: SetFileOption = None
    provoke: Annotated[
        list[Provocation] | None,
        typer.Option("--as-if", help="Run the steps with another umask (077), locale (tr_TR.UTF-8), timezone (14 hours "
                     "east), or with one of the cpus (OMP_NUM_THREADS). Can be repeated."),
    ] = None  # fmt: skip
    refresh: Annotated[
        bool, typer.Option("--refresh", help="Make or pull the base again, too: the archive may have moved.")
    ] = False
    engine: shared_options.EngineOption = None

    def again(self) -> Again:
        from assembler.commands.rebuild import Again

        given = given_values(None, self.from_environment, self.from_files)
        return Again(given, self.recipe, self.engine, self.refresh, tuple(one.value for one in self.provoke or ()))


def register(app: typer.Typer) -> None:
    app.command()(takes_groups(rebuild))


def rebuild(
    repeating: Repeating,
    connection: RegistryOptions,
    printing: Printing,
    build: Annotated[
        Path | None,
        typer.Argument(metavar="DIR", exists=True, file_okay=False,
                       help="A build's directory. By default this directory's last build."),
    ] = None,
) -> None:
    """Make the last build into a directory again, and tell whether the same comes out of it.

    Every step runs again, with the recipe, the values of its variables and the pins that the build's record names; what
    is there stays as it is. Where an image is another one, its differences are listed, with the first byte, the step
    that wrote it and a likely cause, and the exit code is 8.
    """
    from assembler.commands.rebuild import rebuild, refuse_difference
    from assembler.report.rebuild_report import rebuild_lines

    terminal = printing.terminal()
    report = rebuild(build or last_build(terminal), connection.world(terminal), repeating.again())
    if printing.as_json:
        emit_json(report.model_dump_json(indent=1))
    else:
        emit("\n".join(rebuild_lines(report)))
    refuse_difference(report)
