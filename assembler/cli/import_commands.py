"""imgasm import."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated

import typer

from assembler.cli import shared_options
from assembler.cli.output import emit, emit_json
from assembler.cli.terminal import Terminal


def register(app: typer.Typer) -> None:
    app.command("import")(import_dockerfile)


def import_dockerfile(
    dockerfile: Annotated[
        Path, typer.Argument(metavar="DOCKERFILE", exists=True, dir_okay=False, help="The Dockerfile or Containerfile.")
    ],
    context: Annotated[
        Path | None,
        typer.Option(metavar="DIR", exists=True, file_okay=False, show_default="the Dockerfile's directory",
                     help="What COPY reads. The recipes are written there."),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(metavar="NAME", show_default="the context's", help="What the recipe and the image are called."),
    ] = None,
    target: Annotated[
        str | None, typer.Option(metavar="STAGE", show_default="the last one", help="The stage that makes the image.")
    ] = None,
    as_json: shared_options.Json = False,
) -> None:  # fmt: skip
    """Write the recipe that makes what a Dockerfile makes, and say where it does not.

    A stage that something runs in is a recipe of its own; a last stage that only copies is what the image is onto, and
    what it keeps. The verdict names every line that is done in another way, and what is left to do by hand.
    """
    from assembler.commands.import_dockerfile import Origin
    from assembler.commands.import_dockerfile import import_dockerfile as run

    imported = run(Origin(dockerfile, os.uname().release, context, name, target))
    if as_json:
        emit_json(json.dumps({"recipes": list(map(str, imported.recipes)), "commands": imported.commands}
                             | imported.verdict.to_json()))  # fmt: skip
        return
    emit("\n".join(map(str, imported.recipes)))
    terminal = Terminal()
    for line in imported.verdict.lines():
        terminal.say(line)
    for command in imported.commands:
        terminal.say(f"  $ {command}")
