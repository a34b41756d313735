"""The Authorization header for one registry: Basic, or Bearer with tokens that are fetched once and kept.

The first request goes out without credentials; what the registry answers decides. A header made here is sent to the
registry's own origin and nowhere else (:mod:`assembler.registry.wire` sees to that at every hop).
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from assembler.errors import RegistryError
from assembler.registry import token_scopes as scope
from assembler.registry.challenge import Challenge, choose, parse_challenges
from assembler.registry.location import follow
from assembler.registry.origin import is_same_site
from assembler.registry.responses import Refused, Reply
from assembler.registry.tokens import Send, Token, TokenServer

if TYPE_CHECKING:
    from collections.abc import Callable

    import httpx

    from assembler.registry.credentials import Credential
    from assembler.registry.origin import Origin
    from assembler.registry.retry import Clock


class Authenticator:
    """Thread-safe: of several threads that need the same token, one fetches it."""

    def __init__(
        self, origin: Origin, credential: Credential, clock: Clock, send: Send, warn: Callable[[str], None]
    ) -> None:
        self._origin = origin
        self._credential = credential
        self._clock = clock
        self._send = send
        self._warn = warn
        self._lock = threading.RLock()
        self._scheme = ""
        self._server: TokenServer | None = None
        self._tokens: dict[tuple[str, ...], Token] = {}
        self._challenged: dict[tuple[str, ...], str] = {}
        self._early: Token | None = None

    @property
    def is_challenged(self) -> bool:
        return bool(self._scheme)

    def header(self, scopes: tuple[str, ...], *, fresh: bool = False) -> str | None:
        """None as long as the registry has not asked who we are. ``fresh``: a token that was made just now."""
        with self._lock:
            if self._scheme == "basic":
                return self._credential.basic
            if self._scheme != "bearer":
                return None
            if self._credential.registry_token:
                return f"Bearer {self._credential.registry_token}"
            return f"Bearer {self._token(scopes, fresh).text}"

    def answer(self, refusal: Reply, scopes: tuple[str, ...], used: str | None) -> str:
        """The header to try after a 401 that ``used`` got; raises when there is nothing better to say."""
        with self._lock:
            self._learn(refusal, scopes)
            current = self.header(scopes)
            if current and current == used and self._scheme == "bearer" and not self._credential.registry_token:
                if self._is_early(refusal, scopes):
                    return current
                del self._tokens[scopes]
                current = self.header(scopes)
        if current is None or current == used:
            raise self._denied(refusal)
        return current

    def _learn(self, refusal: Reply, scopes: tuple[str, ...]) -> None:
        challenge = choose(parse_challenges(refusal.headers.get_list("WWW-Authenticate")))
        if challenge is None:
            return
        if challenge.scheme == "bearer":
            self._learn_bearer(challenge, refusal, scopes)
        self._scheme = challenge.scheme

    def _learn_bearer(self, challenge: Challenge, refusal: Reply, scopes: tuple[str, ...]) -> None:
        if not challenge.get("realm"):
            raise RegistryError(f"{self._origin.netloc} wants a token, but does not say from where (no realm)")
        if self._server is None:
            realm = follow(challenge.get("realm"), refusal.url, self._origin, self._warn)
            self._tell_of_strangers(realm)
            self._server = TokenServer(realm, challenge.get("service"), self._credential, self._send)
        if (wanted := challenge.get("scope")) != self._challenged.get(scopes, ""):
            self._challenged[scopes] = wanted
            self._tokens.pop(scopes, None)

    def _tell_of_strangers(self, realm: httpx.URL) -> None:
        """Token servers may live elsewhere, but whoever gives a password for the first time should know where it goes.
        Stored credentials have been there before."""
        credential = self._credential
        is_secret = credential.password or credential.identity_token
        if is_secret and not credential.stored and not is_same_site(realm.host, self._origin.host):
            self._warn(f"{self._origin.netloc} has its tokens made by {realm.host}, which gets the credentials from "
                       f"{credential.origin}.")

    def _is_early(self, refusal: Reply, scopes: tuple[str, ...]) -> bool:
        """After a pause, True for a token that was refused although it is new: the clock of who made it is ahead of
        the registry's ("token not to be used before"). Another one would be too early again."""
        challenge = choose(parse_challenges(refusal.headers.get_list("WWW-Authenticate")))
        token = self._tokens[scopes]
        if challenge is None or challenge.get("error") != "invalid_token" or token is self._early:
            return False
        if not token.is_new(self._clock.monotonic()):
            return False
        self._early = token
        self._clock.sleep(1 + self._clock.chance())
        return True

    def _token(self, scopes: tuple[str, ...], fresh: bool) -> Token:
        now = self._clock.monotonic()
        token = self._tokens.get(scopes)
        if token is None or not token.is_good(now) or (fresh and not token.is_new(now)):
            assert self._server is not None
            challenged = self._challenged.get(scopes, "").split()  # first: some servers look only at the first scope
            token = self._server.fetch(scope.merge([*challenged, *scopes]), now)
            self._tokens[scopes] = token
        return token

    def _denied(self, refusal: Reply) -> RegistryError:
        error = Refused(refusal)
        if self._credential.is_anonymous:
            error.hint = f"No credentials for {self._origin.netloc} were found; log in with `imgasm login`."
        else:
            error.hint = f"{self._origin.netloc} does not accept the credentials from {self._credential.origin}, " \
                         "or they do not reach as far as this repository; renew them with `imgasm login`."
        return error
