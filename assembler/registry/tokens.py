"""Tokens: how they are asked for, and how long they last (distribution, "Token Authentication" and "OAuth2")."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlencode

import httpx
from pydantic import BaseModel, ConfigDict, ValidationError

from assembler.errors import RegistryError
from assembler.registry.credentials import Credential
from assembler.registry.location import with_query
from assembler.registry.redact import redact
from assembler.registry.responses import Refused, Reply

CLIENT_ID: Final = "imgasm"
_SHORTEST: Final = 60.0
"""Seconds a token is taken to last when its server gives less, or nothing (as containers/image and regclient do)."""

_NEW: Final = 10.0
"""Seconds; a token that is younger was not refused because it is too old."""

Send = Callable[[str, httpx.URL, dict[str, str], bytes | None], Reply]
"""Sends (method, URL, headers, body) to a token server and reads the whole answer."""


class NoToken(RegistryError):
    """The token server does not accept the credentials, or gives none without any."""


@dataclass(frozen=True, slots=True)
class Token:
    """``expires`` and ``lasts`` in seconds of the monotonic clock; the server's own clock is never believed."""

    text: str = field(repr=False)
    expires: float
    lasts: float

    def is_new(self, now: float) -> bool:
        return now - (self.expires - self.lasts) < _NEW

    def is_good(self, now: float) -> bool:
        return self.expires - now > max(_SHORTEST / 2, self.lasts / 10)


class _TokenReply(BaseModel):
    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True)

    token: str | None = None
    access_token: str | None = None
    expires_in: float | None = None
    refresh_token: str | None = None


class TokenServer:
    """Fetches tokens for one challenge's realm and service."""

    def __init__(self, realm: httpx.URL, service: str, credential: Credential, send: Send) -> None:
        self._realm = realm
        self._service = service
        self._credential = credential
        self._refresh_token = credential.identity_token
        self._send = send

    def fetch(self, scopes: tuple[str, ...], now: float) -> Token:
        """``now`` is the monotonic time before asking."""
        reply = self._post(scopes) if self._refresh_token else None
        if reply is None or (reply.status in (404, 405) and self._credential.basic):
            reply = self._get(scopes)
        if reply.status != 200:
            raise self._denied(reply)
        return self._read(reply, now)

    def _get(self, scopes: tuple[str, ...]) -> Reply:
        query = [("service", self._service)] if self._service else []
        query += [("client_id", CLIENT_ID), *(("scope", scope) for scope in scopes)]
        if self._credential.username:
            query.insert(0, ("account", self._credential.username))
        basic = self._credential.basic
        headers = {"Authorization": basic} if basic else {}
        return self._send("GET", with_query(self._realm, urlencode(query)), headers, None)

    def _post(self, scopes: tuple[str, ...]) -> Reply:
        form = {"grant_type": "refresh_token", "refresh_token": self._refresh_token, "client_id": CLIENT_ID}
        form |= {"service": self._service, "scope": " ".join(scopes)}
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        return self._send("POST", self._realm, headers, urlencode(form).encode())

    def _read(self, reply: Reply, now: float) -> Token:
        try:
            answer = _TokenReply.model_validate_json(reply.body)
        except ValidationError:
            answer = _TokenReply()
        text = answer.token or answer.access_token
        if not text or not text.isascii() or not text.isprintable():
            raise RegistryError(f"The token server {redact(self._realm)} answered without a token")
        self._refresh_token = answer.refresh_token or self._refresh_token
        lasts = max(answer.expires_in or 0.0, _SHORTEST)
        return Token(text, now + lasts, lasts)

    def _denied(self, reply: Reply) -> RegistryError:
        refusal = Refused(reply)
        if reply.status not in (400, 401, 403):
            return refusal
        if self._credential.is_anonymous:
            hint = "No credentials for this registry were found; log in with `imgasm login`."
        else:
            hint = f"The credentials came from {self._credential.origin}; renew them with `imgasm login`."
        return NoToken(f"The token server gives no token: {refusal.message}", hint=hint)
