"""Commands about registries: login, logout."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from assembler.cli import environment
from assembler.cli.ask import ask
from assembler.cli.option_groups import takes_groups
from assembler.cli.output import emit
from assembler.cli.registry_options import Transport
from assembler.cli.shared_options import Quiet
from assembler.cli.terminal import Terminal
from assembler.errors import UsageError

if TYPE_CHECKING:
    from assembler.commands.login import Vault
    from assembler.registry.connection_settings import ConnectionSettings

_UNASKED: Final = "Give --username and --password-stdin."

_Registry = Annotated[str, typer.Argument(metavar="REGISTRY", help="The registry's host, and its port if it has one.")]
_File = Annotated[
    Path | None,
    typer.Option("--authfile", metavar="FILE", help="Where they are stored.", show_default="Docker's config.json"),
]


@dataclass(frozen=True)
class User:
    """Who logs in, and where that is kept."""

    username: Annotated[
        str | None, typer.Option("-u", "--username", help="By default imgasm asks on the terminal.")
    ] = None
    password_stdin: Annotated[
        bool, typer.Option("--password-stdin", help="Read the password from standard input, without its line end.")
    ] = False
    authfile: _File = None

    def __post_init__(self) -> None:
        if self.password_stdin and not self.username:
            raise UsageError("--password-stdin needs --username: standard input holds the password alone")


def register(app: typer.Typer) -> None:
    app.command()(takes_groups(login))
    app.command()(logout)


def login(registry: _Registry, user: User, transport: Transport, quiet: Quiet = False) -> None:
    """Check credentials with a registry, and store them as Docker does: in its helper, or unencrypted in its file."""
    from assembler.commands import login as use
    from assembler.registry.auth_file import host_of
    from assembler.registry.credentials import Credential

    host, terminal = host_of(registry), Terminal(quiet=quiet)
    name = user.username or ask("Username", hint=_UNASKED)
    password = sys.stdin.read().rstrip("\r\n") if user.password_stdin else ask("Password", hint=_UNASKED, hidden=True)
    credential = Credential(name, password, origin="this login")
    place = use.login(host, credential, _vault(user.authfile), _settings(transport), terminal)
    terminal.say(f"logged in to {host}; the credentials are in {place}")


def logout(registry: _Registry, authfile: _File = None) -> None:
    """Remove the stored credentials of a registry."""
    from assembler.commands import login as use
    from assembler.registry.auth_file import host_of

    host = host_of(registry)
    known = use.logout(host, _vault(authfile))
    emit(f"the credentials for {host} are removed" if known else f"there were no credentials for {host}")


def _settings(transport: Transport) -> ConnectionSettings:
    from assembler.registry.retry import Clock

    return transport.settings().connection(Clock.of_system())


def _vault(authfile: Path | None) -> Vault:
    from assembler.commands.login import Vault

    file = authfile or environment.settings().credentials.docker_config
    assert file is not None  # the environment always gives one
    return Vault(file, os.environ)
