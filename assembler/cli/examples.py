"""The command about the recipes that come with imgasm."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from assembler.cli import options
from assembler.cli.show import emit
from assembler.cli.terminal import Terminal


def register(app: typer.Typer) -> None:
    app.command()(recipes)


def recipes(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="NAME", help="Copy these, with the files that they name."),
    ] = None,
    to: Annotated[
        Path, typer.Option(metavar="DIR", file_okay=False, help="The directory to copy into.", show_default="here")
    ] = Path(),
    as_json: options.Json = False,
) -> None:
    """List the recipes that come with imgasm, or copy some, to build them or to begin with."""
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
    Terminal().say("imgasm recipes NAME copies one here")
