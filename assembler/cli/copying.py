"""The command copy."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Annotated

import typer

from assembler.cli import options
from assembler.cli.connection import Connection
from assembler.cli.groups import takes_groups
from assembler.cli.options import Printing
from assembler.cli.show import emit, emit_json


@dataclass(frozen=True)
class Copying:
    """What is copied of an image."""

    image: options.ImageName = None
    platform: Annotated[
        str | None,
        typer.Option(metavar="OS/ARCH", help="One image of an index. By default an index is copied whole."),
    ] = None
    copy_base_layers: options.CopyBaseLayers = False


def register(app: typer.Typer) -> None:
    app.command()(takes_groups(copy))


def copy(
    source: Annotated[str, typer.Argument(metavar="SRC", help="Where an image is.")],
    target: Annotated[str, typer.Argument(metavar="DST", help="Where it shall be.")],
    copying: Copying,
    connection: Connection,
    printing: Printing,
) -> None:
    """Copy an image between registries, OCI layouts, archives and engines. Digests stay wherever blobs do.

    Both places are written as skopeo writes them:

        docker://REFERENCE, or just REFERENCE    an image in a registry

        oci:DIR[:NAME], or DIR                   in an OCI layout, such as a build

        oci-archive:FILE[:NAME], or FILE.tar     in an archive, which Docker, podman, skopeo and containerd load

        docker-archive:FILE[:REFERENCE]          the same with one image: of an index the one for this machine

        docker-daemon:NAME                       in the local Docker

        containers-storage:NAME                  in the local podman

    NAME is one image of several, as --image takes it. A path that does not exist yet begins with / or ./ or ../, or
    ends in .tar. Layers that lie uncompressed in an archive or engine are compressed with gzip for a registry or
    layout.
    """
    from assembler.commands.copy import copy
    from assembler.model.place import Place
    from assembler.places.presence import named_place
    from assembler.places.put import PutOptions

    terminal = printing.terminal()
    wanted = PutOptions(options.platform(copying.platform), copying.copy_base_layers)
    world = connection.world(terminal)
    digest = copy(named_place(source), copying.image, Place.target(target), world, wanted)
    if printing.as_json:
        emit_json(json.dumps({"target": target, "digest": str(digest)}))
    else:
        emit(f"{target}  {digest}")
