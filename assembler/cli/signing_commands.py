"""Commands about trust: sign."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from assembler.cli.option_groups import takes_groups
from assembler.cli.output import emit, emit_json
from assembler.cli.registry_options import RegistryOptions
from assembler.cli.shared_options import Printing
from assembler.cli.signing_options import PRIVATE_KEY, read_private_key


def register(app: typer.Typer) -> None:
    app.command()(takes_groups(sign))


def sign(
    reference: Annotated[str, typer.Argument(metavar="REFERENCE", help="An image or index in a registry.")],
    signing_key: Annotated[Path, typer.Option("--with", metavar="KEY", exists=True, dir_okay=False, help=PRIVATE_KEY)],
    connection: RegistryOptions,
    printing: Printing,
) -> None:
    """Sign what a reference leads to in its registry: the image, or the index and every image in it.

    Each gets a signature as cosign and skopeo look for it (the tag sha256-....sig) and a sigstore bundle that refers to
    it (OCI 1.1). Signatures by others stay. A signature is for the tag that is signed here: under another one, skopeo,
    podman and imgasm verify refuse it. Signing twice with one key changes nothing: it gives the same signature.
    """
    from assembler.commands.sign import sign
    from assembler.model.reference import Reference

    world = connection.world(printing.terminal())
    signed = sign(Reference.parse(reference), read_private_key(signing_key), world)
    if printing.as_json:
        told = [{"digest": str(one.digest), "references": list(map(str, one.references))} for one in signed]
        emit_json(json.dumps(told, indent=1))
    else:
        emit("\n".join(f"{one.references[0].name}@{one.digest}  signed as {', '.join(map(str, one.references))}"
                       for one in signed))  # fmt: skip
