"""Options that several commands share, and the groups that they come in."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from assembler.cli import environment
from assembler.cli.last_build import last_build
from assembler.cli.terminal import Terminal
from assembler.cli.variable_values import given_values
from assembler.errors import UsageError
from assembler.model.engines import ENGINES, NAMES, EngineName

if TYPE_CHECKING:
    from assembler.commands.kept_builds import Given
    from assembler.engine.client import Engine
    from assembler.model.place import Place
    from assembler.model.platform import Platform
    from assembler.model.secrets import Secrets
    from assembler.progress import Progress
    from assembler.recipe.recipe import Recipe

WHAT: Final = (
    "A build's directory, an OCI layout, an archive, a reference in a registry, docker-daemon:IMAGE or "
    "containers-storage:IMAGE"
)


_STANDARD_INPUT: Final = Path("-")


class CodecName(StrEnum):
    zstd = "zstd"
    gzip = "gzip"
    none = "none"


class BillFormat(StrEnum):
    cyclonedx = "cyclonedx"
    spdx = "spdx"


EngineOption = Annotated[
    EngineName | None,
    typer.Option("--engine", envvar="IMGASM_ENGINE",
                 help=f"{', '.join(NAMES)} (this machine itself). By default the first of "
                 f"{' and '.join(ENGINES)} that answers, else host."),
]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON on standard output.")]
ImageName = Annotated[
    str | None,
    typer.Option("--image", metavar="NAME", help="One of several images: its name, reference, tag or digest."),
]
Quiet = Annotated[bool, typer.Option("-q", "--quiet", help="Print warnings and errors only.")]
CopyBaseLayers = Annotated[
    bool,
    typer.Option("--copy-base-layers", help="Download the base's layers that are not here, however large."),
]


SetOption = Annotated[
    list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="Set a variable of the recipe.")
]
SetEnvOption = Annotated[
    list[str] | None,
    typer.Option("--set-env", metavar="NAME[=VARIABLE]", help="Set a variable of the recipe from an environment "
                 "variable, by default of the same name. Unlike --set, this shows no secret to other users."),
]  # fmt: skip
SetFileOption = Annotated[
    list[str] | None,
    typer.Option("--set-file", metavar="NAME=FILE", help="Set a variable of the recipe to the contents of a file, "
                 "without its last line end."),
]  # fmt: skip


@dataclass(frozen=True)
class RecipeChoice:
    """A recipe, and other values for its variables."""

    recipe: Annotated[
        Path, typer.Argument(metavar="RECIPE", help="The recipe, a TOML file; - reads standard input.")
    ]
    settings: SetOption = None
    from_environment: SetEnvOption = None
    from_files: SetFileOption = None

    def __post_init__(self) -> None:
        if self.recipe != _STANDARD_INPUT and (self.recipe.is_dir() or not self.recipe.exists()):
            what = "is a directory" if self.recipe.is_dir() else "does not exist"
            raise UsageError(f"the recipe {self.recipe} {what}",
                             hint="Name a TOML file, or - for standard input; imgasm recipes lists examples.")

    def given(self, secrets: Secrets) -> Given:
        """Where the values come from, to open the recipe again in another process: without what is secret itself."""
        from assembler.commands.kept_builds import Given

        plain = tuple(pair for pair in self.settings or () if not secrets.touches(pair.partition("=")[2]))
        return Given(plain, tuple(self.from_environment or ()), tuple(self.from_files or ()))

    def open(self) -> Recipe:
        from assembler.commands.open_recipe import open_recipe
        from assembler.recipe.load import MOST_BYTES

        content = sys.stdin.buffer.read(MOST_BYTES + 1) if self.recipe == _STANDARD_INPUT else None
        return open_recipe(self.recipe, given_values(self.settings, self.from_environment, self.from_files), content)


@dataclass(frozen=True)
class ImageChoice:
    """A build, and which of its images."""

    what: Annotated[
        str | None, typer.Argument(metavar="WHAT", help=f"{WHAT}. By default this directory's last build.")
    ] = None
    image: ImageName = None

    def place(self, progress: Progress) -> Place:
        from assembler.model.place import Place, Store
        from assembler.places.check_place import named_place

        if self.what is not None:
            return named_place(self.what)
        return Place(Store.LAYOUT, str(last_build(progress)))


@dataclass(frozen=True)
class Printing:
    """How a result is printed, and what is printed before it."""

    as_json: Json = False
    quiet: Quiet = False

    def terminal(self) -> Terminal:
        return Terminal(quiet=self.quiet)


@dataclass(frozen=True)
class Loudness:
    """How much is printed about the progress."""

    verbose: Annotated[bool, typer.Option("-v", "--verbose", help="Show everything that the steps print.")] = False
    quiet: Quiet = False

    def __post_init__(self) -> None:
        if self.verbose and self.quiet:
            raise UsageError("--verbose and --quiet contradict each other", hint="Give one of them.")

    def terminal(self) -> Terminal:
        return Terminal(verbose=self.verbose, quiet=self.quiet)


def engine(name: EngineName | None) -> Engine:
    """The engine that was asked for, or the first one that answers."""
    from assembler.places.world import World

    return World.from_settings(environment.settings()).engine(name)


def platform(text: str | None) -> Platform | None:
    from assembler.model.platform import Platform

    return Platform.parse(text) if text else None
