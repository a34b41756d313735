"""URLs as errors and logs may show them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit, urlunsplit

if TYPE_CHECKING:
    import httpx

_READABLE: Final = frozenset({"digest", "mount", "from", "n", "last", "service", "scope", "tag", "ns"})
"""Query keys whose values are no secret. All others are: _state, sig, X-Amz-Signature, token and what comes next."""


def redact(url: httpx.URL | str) -> str:
    """The URL as an error or log may show it: no password, no signature, no state."""
    try:
        parts = urlsplit(str(url))
    except ValueError:  # httpx and urllib differ about what a URL is
        return "an address that can't be read"
    query = "&".join(_redact_pair(pair) for pair in parts.query.split("&") if pair)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, query, ""))


def _redact_pair(pair: str) -> str:
    key, equals, _ = pair.partition("=")
    return pair if key in _READABLE or not equals else f"{key}=REDACTED"
