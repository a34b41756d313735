"""Options and settings of every command that speaks to registries."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Final, Optional

import typer

from assembler.cli import surroundings
from assembler.registry.lookup import CredentialSources
from assembler.registry.settings import ConnectionSettings, Tls

_CERTIFICATES: Final = (Path("/etc/docker/certs.d"), Path("/etc/containers/certs.d"))
_File = Optional[Path]  # noqa: UP045  Typer reads it at run time

PlainHttp = Annotated[
    Optional[bool],  # noqa: UP045
    typer.Option("--plain-http/--tls", help="Without TLS. Loopback registries are spoken to that way anyway."),
]
AuthFile = Annotated[_File, typer.Option("--authfile", help="Credentials, in the form of Docker's config.json.")]
CaFile = Annotated[_File, typer.Option("--ca-file", help="PEM file of an authority to trust beside the system's.")]
Cert = Annotated[_File, typer.Option("--cert", help="The client's certificate (PEM).")]
Key = Annotated[_File, typer.Option("--key", help="The client's key (PEM).")]


def settings(plain_http: bool | None, ca_file: Path | None, cert: Path | None, key: Path | None) -> ConnectionSettings:
    return ConnectionSettings(surroundings.clock(), Tls(ca_file, cert, key, _CERTIFICATES), plain_http)


def credentials(authfile: Path | None = None) -> CredentialSources:
    return CredentialSources.from_environment(os.environ, Path.home(), os.getuid(), authfile)
