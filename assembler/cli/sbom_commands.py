"""Commands about what is in an image, for scanners: sbom."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from assembler.cli import shared_options
from assembler.cli.last_build import last_build
from assembler.cli.output import emit_json
from assembler.cli.shared_options import BillFormat, Quiet
from assembler.cli.terminal import Terminal


def register(app: typer.Typer) -> None:
    app.command()(sbom)


def sbom(
    build: Annotated[
        Path | None,
        typer.Argument(metavar="DIR", exists=True, file_okay=False,
                       help="A build's directory. By default this directory's last build."),
    ] = None,
    image: shared_options.ImageName = None,
    format_: Annotated[
        BillFormat, typer.Option("--format", help="CycloneDX 1.6 or SPDX 2.3, as JSON.")
    ] = BillFormat.cyclonedx,
    quiet: Quiet = False,
) -> None:
    """Print the bill of materials of an image's new layer: every file in it, whatever was pruned around it.

    A file that a package owns (dpkg, apk) stands with that package, its version and its licence, as they were in the
    container before anything was pruned. All others stand with the step that wrote them; kernel modules with what they
    say of themselves and their compiler. The base's layers are not in it.
    """
    from assembler.commands.sbom import bill_of_materials, document

    bill = bill_of_materials(build or last_build(Terminal(quiet=quiet)), image)
    emit_json(json.dumps(document(bill, format_.value), indent=1))
