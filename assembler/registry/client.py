"""A connection to one registry."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import httpx

from assembler.registry import token_scopes
from assembler.registry.origin import Neighbourhood, Origin, neighbourhood
from assembler.registry.repository import Repository
from assembler.registry.retry import Patience
from assembler.registry.wire import Wire, refuse_cookies

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from assembler.registry.connection_settings import ConnectionSettings
    from assembler.registry.credentials import Credential

_LIMITS: Final = httpx.Limits(max_connections=16, max_keepalive_connections=8, keepalive_expiry=30)


class RegistryClient:
    """Repositories of one registry over shared connections, tokens and patience. Thread-safe."""

    def __init__(self, registry: str, wire: Wire, patience: Patience, warn: Callable[[str], None]) -> None:
        self.registry = registry
        self.wire = wire
        self.patience = patience
        self._warn = warn

    def repository(self, name: str, *, push: bool = False, sources: Sequence[str] = ()) -> Repository:
        """``push`` asks for the right to write; ``sources`` are repositories to mount blobs from."""
        own = token_scopes.push(name) if push else token_scopes.pull(name)
        wanted = token_scopes.merge([own, *(token_scopes.pull(source) for source in sources)])
        return Repository(self.wire, self.patience, self._warn, name, wanted)


@contextmanager
def connect(
    registry: str,
    credential: Credential,
    settings: ConnectionSettings,
    warn: Callable[[str], None],
    *,
    transport: httpx.BaseTransport | None = None,
) -> Iterator[RegistryClient]:
    """``registry`` is ``host[:port]`` as in a reference. Nothing is sent before the first move.

    ``transport`` replaces the network, for tests of what no real registry shows.
    """
    origin = Origin.of_registry(registry, settings.plain_http)
    far = neighbourhood(origin.host) is not Neighbourhood.LOOPBACK
    with httpx.Client(
        verify=settings.tls.context(registry),
        trust_env=settings.use_proxies and far,
        limits=_LIMITS,
        cookies=refuse_cookies(),
        transport=transport,
    ) as http:
        wire = Wire(http, origin, credential, settings, warn)
        yield RegistryClient(registry, wire, Patience(settings.clock, settings.retry, warn), warn)
