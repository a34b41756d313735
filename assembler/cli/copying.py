"""The command copy."""

from __future__ import annotations

import json
from typing import Annotated, Optional

import typer

from assembler.cli import connection, options, surroundings
from assembler.cli.show import emit
from assembler.cli.terminal import Terminal
from assembler.commands.copy import Copier
from assembler.commands.registries import Registries
from assembler.engine.client import Engine
from assembler.engine.connect import connect
from assembler.model.place import EngineName, Place
from assembler.model.platform import Platform
from assembler.registry.push import PushOptions


def register(app: typer.Typer) -> None:
    app.command()(copy)


def copy(
    source: Annotated[str, typer.Argument(metavar="SRC", help="Where an image is.")],
    target: Annotated[str, typer.Argument(metavar="DST", help="Where it shall be.")],
    platform: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(metavar="OS/ARCH", help="One image of an index. By default an index is copied whole."),
    ] = None,
    copy_base_layers: options.CopyBaseLayers = False,
    plain_http: connection.PlainHttp = None,
    authfile: connection.AuthFile = None,
    ca_file: connection.CaFile = None,
    cert: connection.Cert = None,
    key: connection.Key = None,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Copy an image between registries, OCI layouts, archives and engines. Digests stay wherever blobs do.

    Both places are written as skopeo writes them:

        docker://REFERENCE, or just REFERENCE    an image in a registry

        oci:DIR[:NAME], or DIR                   in an OCI layout, such as a build

        oci-archive:FILE, or FILE.tar            in an archive, which Docker, podman, skopeo and containerd load

        docker-daemon:NAME                       in the local Docker

        containers-storage:NAME                  in the local podman

    A path that does not exist yet begins with / or ./ or ../, or ends in .tar. Layers that lie uncompressed in an
    archive or engine are compressed with gzip for a registry or layout.
    """
    terminal = Terminal(quiet=quiet)
    registries = Registries(
        connection.credentials(authfile), connection.settings(plain_http, ca_file, cert, key), terminal.warn
    )
    copier = Copier(
        registries, _engine, surroundings.cache_folder(), terminal, PushOptions(), surroundings.platform(),
        Platform.parse(platform) if platform else None, copy_base_layers,
    )  # fmt: skip
    digest = copier.copy(Place.parse(source), Place.target(target))
    emit(json.dumps({"target": target, "digest": str(digest)}) if as_json else f"{target}  {digest}")


def _engine(name: EngineName) -> Engine:
    return connect(name, surroundings.engine_options(name))
