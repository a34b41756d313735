"""URLs that a server hands out: where an upload goes on, where a blob is stored, where tokens are made.

Every such URL passes :func:`follow` before anything is sent to it, and
:func:`~assembler.registry.redact.redact` before anybody reads it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote, urljoin

import httpx

from assembler.errors import RegistryError
from assembler.registry.origin import Neighbourhood, Origin, neighbourhood
from assembler.registry.redact import redact

if TYPE_CHECKING:
    from collections.abc import Callable

    from assembler.model.digest import Digest


def follow(target: str | None, seen_at: httpx.URL, registry: Origin, warn: Callable[[str], None]) -> httpx.URL:
    """The absolute URL that ``target``, found in an answer of ``seen_at``, stands for; refused where it is unsafe.

    Relative forms are resolved against the answering URL (distribution-spec end-4). Query strings stay as they came.
    """
    if not target:
        raise RegistryError(f"{redact(seen_at)} answered without a Location, which such an answer must have")
    url = _parse(target.partition("#")[0], seen_at)
    if url.userinfo:
        raise _unsafe(url, seen_at, "holds a user name or password")  # httpx would send it instead of our own
    if url.scheme == "http" and registry.scheme == "https":
        url = _upgraded(url, seen_at, registry, warn)
    kind = neighbourhood(url.host)
    if kind is not Neighbourhood.PUBLIC and not _is_near(url.host, kind, registry):
        raise _unsafe(url, seen_at, f"leads to {kind.value}")
    return url


def with_query(url: httpx.URL | str, addition: str) -> httpx.URL:
    """``url`` with ``addition`` at the end of its query, as text.

    httpx's ``params=`` would replace the query, and ``copy_merge_params`` would decode and encode it again: both
    destroy signed states.
    """
    text = str(url).partition("#")[0]
    return httpx.URL(f"{text}{'&' if '?' in text else '?'}{addition}")


def with_digest(location: httpx.URL, digest: Digest) -> httpx.URL:
    """The URL that commits an upload (distribution-spec end-6)."""
    return with_query(location, f"digest={quote(str(digest), safe='')}")


def _parse(target: str, seen_at: httpx.URL) -> httpx.URL:
    try:
        url = httpx.URL(urljoin(str(seen_at), target))
        if url.port is not None and url.port > 65535:  # httpx takes any number
            raise ValueError(url.port)
    except (httpx.InvalidURL, ValueError) as error:
        raise RegistryError(f"{redact(seen_at)} answered with a Location that is not a URL") from error
    if url.scheme not in ("http", "https") or not url.host:
        raise _unsafe(url, seen_at, "is neither http nor https")
    return url


def _upgraded(url: httpx.URL, seen_at: httpx.URL, registry: Origin, warn: Callable[[str], None]) -> httpx.URL:
    """A registry behind a proxy that forgot X-Forwarded-Proto names itself with http; anything else is a downgrade."""
    if url.host != registry.host or url.port not in (None, registry.port):
        raise _unsafe(url, seen_at, "is not encrypted, although the registry is")
    warn(f"{registry.netloc} names itself with http:// in its answers (a proxy does not pass on X-Forwarded-Proto); "
         "continuing with https://.")
    return url.copy_with(scheme="https", port=registry.port)


def _is_near(host: str, kind: Neighbourhood, registry: Origin) -> bool:
    """A registry in a private network may send to its neighbours; nobody may send to link-local metadata services."""
    if kind is Neighbourhood.LINK_LOCAL:
        return host == registry.host
    return kind is neighbourhood(registry.host)


def _unsafe(url: httpx.URL, seen_at: httpx.URL, why: str) -> RegistryError:
    return RegistryError(
        f"{redact(seen_at)} sends imgasm to {redact(url)}, which {why}; nothing was sent there",
        hint="Tell the registry's operator: this is a misconfiguration at best, and an attack at worst.",
    )
