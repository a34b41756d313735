"""What becomes of the container when a build fails."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from assembler.errors import ImgasmError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from assembler.cli.shared_options import RecipeChoice
    from assembler.places.world import World


class OnFailure(StrEnum):
    keep = "keep"
    shell = "shell"
    remove = "remove"


OnFailureChoice = Annotated[
    OnFailure | None,
    typer.Option("--on-failure", help="What becomes of the container when the build fails: it stays (keep), you are in "
                 "it at once (shell), or it goes (remove).", show_default="keep on a terminal, remove elsewhere"),
]  # fmt: skip
KeepContainer = Annotated[
    bool, typer.Option("--keep-container", help="Leave the container in any case: for imgasm shell and assemble.")
]


def fate(chosen: OnFailure | None, *, kept: bool) -> Literal["keep", "remove"]:
    """``kept``: the container stays in any case."""
    if chosen is OnFailure.shell and not _on_terminal():
        raise UsageError("--on-failure shell needs a terminal", hint="Give keep; imgasm shell enters it later.")
    if chosen is None:
        return "keep" if kept or _on_terminal() else "remove"
    return "remove" if chosen is OnFailure.remove else "keep"


@contextmanager
def shell_on_failure(chosen: OnFailure | None, build: str, recipe: RecipeChoice, world: World) -> Iterator[None]:
    """Enters the container of the build if the inside fails and that is wanted. It stays afterwards."""
    try:
        yield
    except ImgasmError:
        from assembler.cli.kept_shell import enter
        from assembler.commands.kept_builds import KeptBuilds

        builds = KeptBuilds(world.kept)
        if chosen is OnFailure.shell and builds.has(build):
            world.progress.say("this is the failed build's container; imgasm resume goes on when you have left it")
            enter(builds.find(build), recipe, world)
        raise


def _on_terminal() -> bool:
    return sys.stdin.isatty() and sys.stderr.isatty()
