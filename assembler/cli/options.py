"""Options that several commands share."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from assembler.cli import connection, surroundings
from assembler.commands.registries import Registries
from assembler.engine.client import Engine
from assembler.engine.connect import connect
from assembler.errors import UsageError
from assembler.model.moment import parse_created
from assembler.model.platform import Platform

if TYPE_CHECKING:
    from assembler.progress import Progress
    from assembler.recipe.model import Recipe


class EngineName(StrEnum):
    docker = "docker"
    podman = "podman"


class WayName(StrEnum):
    auto = "auto"
    overlay = "overlay"
    export = "export"


class CodecName(StrEnum):
    zstd = "zstd"
    gzip = "gzip"
    none = "none"


RecipeFile = Annotated[
    Path, typer.Argument(metavar="RECIPE", help="The recipe, a TOML file.", exists=True, dir_okay=False)
]
What = Annotated[
    Optional[Path],  # noqa: UP045  Typer reads it at run time
    typer.Argument(metavar="[WHAT]", help="A build's directory (an OCI layout). The last build by default."),
]
Set = Annotated[
    Optional[list[str]],  # noqa: UP045
    typer.Option("--set", metavar="NAME=VALUE", help="Give a variable of the recipe another value."),
]
EngineOption = Annotated[
    Optional[EngineName],  # noqa: UP045
    typer.Option("--engine", envvar="IMGASM_ENGINE", help="docker or podman. By default the first one that answers."),
]
InspectBase = Annotated[
    bool, typer.Option("--inspect-base", help="Read the layers of a base in a registry, to leave out what it has.")
]
PlatformOption = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option("--platform", metavar="OS/ARCH", help="What a build without steps is for. By default this machine."),
]
CopyBaseLayers = Annotated[
    bool,
    typer.Option("--copy-base-layers", help="Get a base's layers that are not here, however large, from its registry."),
]
KeepContainer = Annotated[
    bool, typer.Option("--keep-container", help="Leave the container for a look inside; imgasm clean removes it.")
]
Refresh = Annotated[bool, typer.Option("--refresh", help="Make or pull the base anew although it is in the cache.")]
Verify = Annotated[
    bool, typer.Option("--verify", help="Prove each layer before the container goes; see the README for the cost.")
]
Created = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option("--created", metavar="TIME", help="Date the images: 2026-01-02T03:04:05Z, source_date_epoch, or now. "
                 "By default they say what was done, not when."),
]  # fmt: skip
OverBudget = Annotated[bool, typer.Option("--over-budget", help="Push although the build broke a budget.")]
Tags = Annotated[
    Optional[list[str]],  # noqa: UP045
    typer.Option("--tag", metavar="TAG", help="One more tag for the image, besides its reference's. Can be repeated."),
]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON on standard output.")]
Verbose = Annotated[bool, typer.Option("-v", "--verbose", help="Show everything that the steps print.")]
Quiet = Annotated[bool, typer.Option("-q", "--quiet", help="Print warnings and errors only.")]


def engine(name: EngineName | None) -> Engine:
    """The engine that was asked for, or the first one that answers."""
    if name is None:
        return connect(None)
    return connect(name.value, surroundings.engine_options(name.value))


def platform(text: str | None, recipe: Recipe) -> Platform | None:
    """What ``--platform`` says; with steps it is the engine that says what they run on."""
    if text is not None and recipe.steps:
        raise UsageError("--platform is for builds without steps", hint="Steps run on the engine's own platform.")
    return Platform.parse(text) if text else None


def created(text: str | None) -> str | None:
    try:
        return parse_created(text) if text else None
    except ValueError as error:
        raise UsageError(f"--created: {error}", hint="The time needs a zone: Z, or +01:00.") from error


def registries(progress: Progress) -> Registries:
    """With the credentials that environment and home hold, and the usual settings."""
    return Registries(connection.credentials(), connection.settings(None, None, None, None), progress.warn)


def overrides(pairs: list[str] | None) -> dict[str, str]:
    """``--set name=value`` as a mapping; the last one wins."""
    found = {}
    for pair in pairs or ():
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise UsageError(f"--set {pair} is not understood", hint="Write it as --set name=value.")
        found[name] = value
    return found
