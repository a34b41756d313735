"""How to reach registries: what the command line found out and decided, as one value."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from assembler.errors import UsageError
from assembler.model.certificates import system_trust
from assembler.model.pace import Pace
from assembler.registry.retry import RetryPolicy

if TYPE_CHECKING:
    from collections.abc import Iterator

    from assembler.registry.retry import Clock


@dataclass(frozen=True, slots=True)
class Tls:
    """``ca_file`` is trusted beside the system's authorities; ``certificate`` and ``key`` are the client's (PEM).

    ``directories`` are laid out as Docker's and podman's certs.d: ``<host[:port]>/*.crt`` are authorities,
    ``<host[:port]>/*.cert`` with ``*.key`` of the same name what the client shows.
    """

    ca_file: Path | None = None
    certificate: Path | None = None
    key: Path | None = None
    directories: tuple[Path, ...] = (Path("/etc/docker/certs.d"), Path("/etc/containers/certs.d"))

    def context(self, registry: str) -> ssl.SSLContext:
        """What connections to ``registry`` (``host[:port]``) and its token server are made with."""
        context = system_trust()
        try:
            for authority in self._authorities(registry):
                context.load_verify_locations(authority)
            for certificate, key in self._certificates(registry):
                context.load_cert_chain(certificate, key)
                break
        except OSError as error:  # ssl.SSLError is one
            raise UsageError(f"The TLS files for {registry} can't be used: {error}",
                             hint="--ca-file, --cert and --key, and the files in certs.d, must be PEM.") from error
        return context

    def _authorities(self, registry: str) -> Iterator[Path]:
        if self.ca_file:
            yield self.ca_file
        for directory in self.directories:
            yield from sorted((directory / registry).glob("*.crt"))

    def _certificates(self, registry: str) -> Iterator[tuple[Path, Path | None]]:
        if self.certificate:
            yield self.certificate, self.key
        for directory in self.directories:
            for certificate in sorted((directory / registry).glob("*.cert")):
                yield certificate, certificate.with_suffix(".key")


@dataclass(frozen=True, slots=True)
class ConnectionSettings:
    """``plain_http`` None: plain HTTP for loopback hosts only.
    ``use_proxies``: those that the environment names, but never for loopback hosts.
    ``pace``: how slow a registry may be."""

    clock: Clock
    tls: Tls = field(default_factory=Tls)
    plain_http: bool | None = None
    use_proxies: bool = True
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    pace: Pace = field(default_factory=Pace)
