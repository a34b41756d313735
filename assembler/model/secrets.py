"""What nobody may read in a record, report, log, error, lock file or process list: secret values, and who a URL is for.

Texts are masked by value wherever they leave, so a secret stays hidden however it got there: in a step's output, in a
server's answer, percent-encoded in a URL.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import quote, unquote

HIDDEN: Final = "***"

SHORTEST: Final = 4
"""Characters. A shorter value could not be hidden without hiding half of every text."""

_USERINFO: Final = re.compile(r"(?i)\b([a-z][a-z0-9+.-]*://)([^\s/?#]+)@")
"""RFC 3986, section 3.2.1; the last @ before the path ends it, as in urllib and httpx."""

_PASSED_BY_HTTP: Final = frozenset({"http://", "https://", "ftp://", "ftps://"})


@dataclass(frozen=True, slots=True)
class Credentials:
    """A URL's user and password, percent-decoded, and the URL without them: ``scheme://host[:port]``."""

    host: str
    user: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Secrets:
    """``values`` are those of a recipe's secret variables."""

    values: frozenset[str] = field(default=frozenset(), repr=False)

    def mask(self, text: str) -> str:
        """``text`` with ``***`` in place of every secret, and of the userinfo of every URL."""
        for form in self.forms():
            text = text.replace(form, HIDDEN)
        return mask_userinfo(text)

    def touches(self, text: str) -> bool:
        """Is there anything in ``text`` that must not be seen?"""
        return self.mask(text) != text

    def forms(self) -> list[str]:
        """Every form that a secret is met in, the longest first: output comes line by line, URLs are encoded, messages
        and JSON escape quotes and backslashes."""
        lines = {line.strip() for value in self.values for line in value.splitlines()}
        plain = self.values | {line for line in lines if len(line) >= SHORTEST}
        encoded = (quote(text, safe="") for text in plain)
        escaped = (form(text)[1:-1] for text in plain for form in (repr, json.dumps))
        return sorted({*plain, *encoded, *escaped}, key=lambda form: (-len(form), form))


NO_SECRETS: Final = Secrets()


def mask_userinfo(text: str) -> str:
    """``text`` without the user names and passwords in its URLs."""
    return _USERINFO.sub(rf"\1{HIDDEN}@", text)


def without_userinfo(text: str) -> str:
    """As if the URLs in ``text`` had never had any."""
    return _USERINFO.sub(r"\1", text)


def credentials_in(text: str) -> list[Credentials]:
    """Those of the URLs in ``text``."""
    found = []
    for match in _USERINFO.finditer(text):
        user, _, password = match[2].partition(":")
        host = re.match(r"[^\s/?#]*", text[match.end():])
        found.append(Credentials(match[1] + (host[0] if host else ""), unquote(user), unquote(password)))
    return found


def has_password(text: str) -> bool:
    """Does a URL in ``text`` hold a password or token? What a shell fills in later (``$TOKEN``) is none."""
    return any("$" not in match[2] and (":" in match[2] or match[1].lower() in _PASSED_BY_HTTP)
               for match in _USERINFO.finditer(text))
