"""Commands about registries: login, logout."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, Optional

import typer

from assembler.cli import connection, options
from assembler.cli.show import emit
from assembler.cli.terminal import Terminal
from assembler.commands import login as use
from assembler.errors import UsageError
from assembler.registry.authfile import host_of
from assembler.registry.credentials import Credential

_Registry = Annotated[str, typer.Argument(metavar="REGISTRY", help="Its host, with a port where it has one.")]
_File = Annotated[
    Optional[Path],  # noqa: UP045
    typer.Option("--authfile", help="Where to keep them.", show_default="Docker's config.json"),
]


def register(app: typer.Typer) -> None:
    app.command()(login)
    app.command()(logout)


def login(
    registry: _Registry,
    username: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("-u", "--username", help="Asked for on the terminal when it is not given."),
    ] = None,
    password_stdin: Annotated[
        bool, typer.Option("--password-stdin", help="Read the password from standard input, without its line end.")
    ] = False,
    authfile: _File = None,
    plain_http: connection.PlainHttp = None,
    ca_file: connection.CaFile = None,
    cert: connection.Cert = None,
    key: connection.Key = None,
    quiet: options.Quiet = False,
) -> None:
    """Try credentials on a registry, and keep them where Docker does: in its helper, or unencrypted in its file."""
    host, terminal = host_of(registry), Terminal(quiet=quiet)
    if password_stdin and not username:
        raise UsageError("--password-stdin needs --username: standard input holds the password alone")
    name = username or _asked("Username")
    password = sys.stdin.read().rstrip("\r\n") if password_stdin else _asked("Password", hidden=True)
    credential = Credential(name, password, origin="this login")
    settings = connection.settings(plain_http, ca_file, cert, key)
    place = use.login(host, credential, _vault(authfile), settings, terminal)
    terminal.say(f"logged in to {host}; the credentials are in {place}")


def logout(registry: _Registry, authfile: _File = None) -> None:
    """Forget the credentials of a registry."""
    host = host_of(registry)
    known = use.logout(host, _vault(authfile))
    emit(f"the credentials of {host} are removed" if known else f"no credentials of {host} were known")


def _vault(authfile: Path | None) -> use.Vault:
    file = authfile or connection.credentials().docker_config
    assert file is not None  # the environment always gives one
    return use.Vault(file, os.environ)


def _asked(what: str, *, hidden: bool = False) -> str:
    if not sys.stdin.isatty():
        raise UsageError(f"{what}: there is no terminal to ask on", hint="Give --username and --password-stdin.")
    return str(typer.prompt(what, hide_input=hidden, err=True))
