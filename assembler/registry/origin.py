"""Where a registry is: scheme, host and port, and which kind of address that is.

Credentials belong to an origin, not to a host: the rules of RFC 6454, and those that CVE-2020-15157 and
go-containerregistry #2243, #2293 and #2349 taught.
"""

from __future__ import annotations

import enum
import ipaddress
import socket
from dataclasses import dataclass
from typing import Final

import httpx

from assembler.errors import UsageError
from assembler.model.reference import DOCKER_HUB

_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_DOCKER_HUB_HOST: Final = "registry-1.docker.io"


class Neighbourhood(enum.Enum):
    """How far away a host is, as its name or literal address tells; names are not resolved."""

    LOOPBACK = "a loopback address"
    LINK_LOCAL = "a link-local address"
    PRIVATE = "a private address"
    PUBLIC = "a public name or address"


@dataclass(frozen=True, slots=True)
class Origin:
    """``host`` is lower-case and without brackets; ``port`` is a number also when it is the scheme's default."""

    scheme: str
    host: str
    port: int

    @classmethod
    def of(cls, url: httpx.URL) -> Origin:
        return cls(url.scheme, url.host, url.port or _DEFAULT_PORTS[url.scheme])

    @classmethod
    def of_registry(cls, registry: str, plain_http: bool | None = None) -> Origin:
        """``registry`` is ``host[:port]`` as a reference has it.

        ``plain_http`` None means: plain HTTP for loopback hosts, HTTPS for everything else.
        """
        host = _DOCKER_HUB_HOST if registry == DOCKER_HUB else registry
        try:
            url = httpx.URL(f"https://{host}")
        except httpx.InvalidURL as error:
            raise UsageError(f"{registry!r} is not a registry host: {error}") from error
        plain = neighbourhood(url.host) is Neighbourhood.LOOPBACK if plain_http is None else plain_http
        return cls.of(httpx.URL(f"http://{host}" if plain else f"https://{host}"))

    @property
    def netloc(self) -> str:
        """``host`` or ``host:port``, as Docker's files and people write it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    def url(self, path: str) -> httpx.URL:
        return httpx.URL(f"{self.scheme}://{self.netloc}{path}")

    def __str__(self) -> str:
        return f"{self.scheme}://{self.netloc}"


def neighbourhood(host: str) -> Neighbourhood:
    name = host.lower().rstrip(".")
    if name == "localhost" or name.endswith(".localhost"):
        return Neighbourhood.LOOPBACK
    address = _literal(name)
    if address is None or address.is_global:
        return Neighbourhood.PUBLIC
    if address.is_loopback or address.is_unspecified:  # 0.0.0.0 reaches the own machine, too
        return Neighbourhood.LOOPBACK
    return Neighbourhood.LINK_LOCAL if address.is_link_local else Neighbourhood.PRIVATE


def is_same_site(host: str, other: str) -> bool:
    """Whether both belong to one owner, as far as the list of public suffixes tells: auth.docker.io and docker.io."""
    return host == other or (_literal(host) is None and _literal(other) is None and _domain(host) == _domain(other))


def _domain(host: str) -> str:
    """The part of a name that somebody registered; the name itself where nobody did."""
    from publicsuffixlist import PublicSuffixList  # some 0.1 s to read, and seldom needed

    return str(PublicSuffixList().privatesuffix(host.lower()) or host)


def _literal(name: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        # The resolver reads 127.1, 0x7f000001 and 2130706433 as addresses, too; inet_aton knows the same forms.
        address = ipaddress.ip_address(name if ":" in name else socket.inet_aton(name))
    except (OSError, ValueError):
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address
