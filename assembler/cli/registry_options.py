"""How to reach registries: one group of options, the same in every command that can meet one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from assembler.cli import environment
from assembler.errors import UsageError

if TYPE_CHECKING:
    from assembler.places.world import World
    from assembler.places.world_settings import WorldSettings
    from assembler.progress import Progress


def _pem(option: str, what: str) -> object:
    return typer.Option(option, metavar="FILE", exists=True, dir_okay=False, help=what)


@dataclass(frozen=True)
class Transport:
    """How the connection is made. Where no registry is met, nothing of it is used."""

    plain_http: Annotated[
        bool | None,
        typer.Option("--plain-http/--tls", help="Connect without TLS, the default for loopback addresses."),
    ] = None
    ca_file: Annotated[
        Path | None, _pem("--ca-file", "A PEM file with an authority to trust, beside the system's.")
    ] = None
    cert: Annotated[Path | None, _pem("--cert", "The client's certificate (PEM).")] = None
    key: Annotated[Path | None, _pem("--key", "The client's key (PEM), unless --cert holds it too.")] = None

    retry_for: Annotated[
        str,
        typer.Option(metavar="TIME", help="How long to try again while a server is busy or fails: 90s, 10m; 0s for one "
                     "try. The pauses count, not the requests."),
    ] = "2m"  # fmt: skip

    def __post_init__(self) -> None:
        if self.key and not self.cert:
            raise UsageError("--key needs --cert: a key alone identifies nobody", hint="Give the certificate, too.")
        if self.plain_http and (self.ca_file or self.cert):
            raise UsageError("--ca-file and --cert are for TLS, which --plain-http switches off",
                             hint="Leave one of them out.")

    def settings(self, authfile: Path | None = None) -> WorldSettings:
        from assembler.registry.connection_settings import Tls

        tls = Tls(self.ca_file, self.cert, self.key)
        return replace(environment.settings(authfile), tls=tls, plain_http=self.plain_http, retry_for=self._patience())

    def _patience(self) -> float:
        from assembler.model.duration import parse_duration

        try:
            return parse_duration(self.retry_for)
        except ValueError as error:
            raise UsageError(f"--retry-for: {error}", hint="0s tries once.") from error


@dataclass(frozen=True)
class RegistryOptions(Transport):
    """The connection, and who connects."""

    authfile: Annotated[
        Path | None,
        typer.Option("--authfile", metavar="FILE", exists=True, dir_okay=False,
                     help="Registry credentials, in the form of Docker's config.json. No other place is read then."),
    ] = None  # fmt: skip

    def arguments(self) -> list[str]:
        """The same for another imgasm, in any directory."""
        files = {"--ca-file": self.ca_file, "--cert": self.cert, "--key": self.key, "--authfile": self.authfile}
        plain = {True: ["--plain-http"], False: ["--tls"], None: []}[self.plain_http]
        named = [word for option, file in files.items() if file for word in (option, str(file.absolute()))]
        return ["--retry-for", self.retry_for, *plain, *named]

    def world(self, progress: Progress) -> World:
        """Everything outside that a use case can meet."""
        from assembler.places.world import World

        return World.from_settings(self.settings(self.authfile), progress)
