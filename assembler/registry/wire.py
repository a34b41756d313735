"""One registry's connection: every request and answer of imgasm passes here, and so does every rule about them.

Cookies are refused (Harbor answers 403 when its cookie comes back), answers are asked for uncompressed (a digest is of
the bytes as stored), redirects are followed by our own rules, and credentials go to the registry's origin alone.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import TYPE_CHECKING, Final

import httpx

from assembler.deadline import WatchedSockets
from assembler.errors import RegistryError
from assembler.model.pace import Pace, TooSlow, paced
from assembler.registry.auth import Authenticator
from assembler.registry.location import follow
from assembler.registry.origin import Origin
from assembler.registry.redact import redact
from assembler.registry.request_body import Body
from assembler.registry.responses import ERROR_BODY_CAP, Refused, Reply
from assembler.registry.unreachable import Unreachable, explain
from assembler.version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from assembler.deadline import Deadline
    from assembler.registry.connection_settings import ConnectionSettings
    from assembler.registry.credentials import Credential

_HOPS: Final = 5
_LARGE: Final = 100 * 1000 * 1000
"""From this many bytes on, a body gets a new token: behind a buffering proxy the registry checks it only at the end."""

_TOKEN_REPLY_CAP: Final = 1024 * 1024
_USER_AGENT: Final = f"imgasm/{__version__}"
# A registry on object storage hashes gigabytes at commit and says nothing meanwhile; httpx would wait 5 s.
_TIMEOUT: Final = httpx.Timeout(connect=30, read=120, write=120, pool=None)
_COMMIT: Final = 600.0
_TIMEOUT_AFTER_BODY: Final = httpx.Timeout(connect=30, read=_COMMIT, write=120, pool=None)


@dataclass(frozen=True, slots=True)
class Call:
    """One request.

    ``cap``         bytes that a good answer may have at most when it is read into memory
    ``take_no``     a 401 is the answer, and not a reason to ask for other credentials
    """

    method: str
    url: httpx.URL
    scopes: tuple[str, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | Body | None = None
    cap: int = ERROR_BODY_CAP
    take_no: bool = False

    @property
    def content_length(self) -> int | None:
        if isinstance(self.body, Body):
            return self.body.length
        if self.body is not None:
            return len(self.body)
        return 0 if self.method in ("POST", "PUT", "PATCH") else None


class Wire:
    """Thread-safe. ``warn`` takes a sentence that a user should see."""

    def __init__(
        self, http: httpx.Client, origin: Origin, credential: Credential, settings: ConnectionSettings,
        warn: Callable[[str], None],
    ) -> None:  # fmt: skip
        self.origin = origin
        self._http = http
        self._clock = settings.clock
        self._pace = settings.pace
        self._sockets = WatchedSockets()
        self._warn = warn
        self._auth = Authenticator(origin, credential, settings.clock, self._ask_token_server, warn)
        self._reached = False

    @property
    def is_authorized(self) -> bool:
        """Whether the registry asked who we are, and was content with the answer."""
        return self._auth.is_challenged

    def request(self, call: Call) -> Reply:
        """The answer to ``call``, whatever its status, read to its end."""
        with self.stream(call) as response:
            return self.read(call.method, response, call.cap)

    @contextmanager
    def stream(self, call: Call) -> Iterator[httpx.Response]:
        """The answer to ``call``, whatever its status, with its body still to be read."""
        response = self._send_authorized(call)
        try:
            yield response
        except httpx.TransportError as error:
            raise self._unreachable(response.url, call.method, error) from error
        finally:
            response.close()

    def _send_authorized(self, call: Call) -> httpx.Response:
        """Answers a 401 once; twice if the first request had to go out before the registry said what it wants.

        A large body is never sent again by itself: the session it belongs to may hold a part of it. Its owner starts
        again, with the token that is fetched here.
        """
        is_file = isinstance(call.body, Body)
        used = self._auth.header(call.scopes, fresh=is_file and (call.content_length or 0) >= _LARGE)
        response = self._send_following(call, used)
        others = 1 if used else 2
        while others and response.status_code == 401 and not call.take_no and Origin.of(response.url) == self.origin:
            refusal = self._close(call.method, response)
            header = self._auth.answer(self._with_challenge(refusal), call.scopes, used)
            others -= header != used  # a token whose time has come meanwhile is no other
            used = header
            if is_file:
                raise Refused(refusal)
            response = self._send_following(call, used)
        return response

    def _with_challenge(self, refusal: Reply) -> Reply:
        """Some registries (GCR) refuse without saying what they want; their base URL says it."""
        if "WWW-Authenticate" in refusal.headers:
            return refusal
        ping = Call("GET", self.origin.url("/v2/"))
        reply = self._close(ping.method, self._send_following(ping, None))
        return reply if "WWW-Authenticate" in reply.headers else refusal

    def _send_following(self, call: Call, authorization: str | None) -> httpx.Response:
        """Follows redirects of GET and HEAD; of bodies only 307 and 308, whose meaning is to send it again."""
        url = call.url
        for _ in range(_HOPS):
            response = self._send_once(call, url, authorization if Origin.of(url) == self.origin else None)
            may_follow = (301, 302, 303, 307, 308) if call.method in ("GET", "HEAD") else (307, 308)
            if response.status_code not in may_follow or "Location" not in response.headers:
                return response
            self._close(call.method, response)
            url = follow(response.headers["Location"], response.url, self.origin, self._warn)
        raise RegistryError(f"{call.method} {redact(call.url)} was redirected more than {_HOPS} times")

    def _send_once(self, call: Call, url: httpx.URL, authorization: str | None) -> httpx.Response:
        has_file = isinstance(call.body, Body)
        timeout = _TIMEOUT_AFTER_BODY if has_file else _TIMEOUT
        with self._sockets.within(self._pace.whole) as deadline:
            request = httpx.Request(
                call.method,
                url,
                headers=_headers(call, url, authorization),
                stream=_Watched(call.body, deadline, self._pace) if isinstance(call.body, Body)
                else httpx.ByteStream(call.body or b""),
                extensions={"timeout": timeout.as_dict(), "trace": self._sockets.trace},
            )  # fmt: skip
            try:
                response = self._http.send(request, stream=True, follow_redirects=False)
            except httpx.TransportError as error:
                if deadline.is_over:
                    raise _too_slow(url, f"{call.method} got no answer in time") from error
                raise self._unreachable(url, call.method, error) from error
        self._reached = True
        return response

    def pieces(self, response: httpx.Response, most: float | None = None) -> Iterator[bytes]:
        """An answer's body as it comes. Unreachable where it drips, or takes longer than ``most`` seconds."""
        try:
            yield from paced(response.iter_raw(), self._clock.monotonic, self._pace, most)
        except TooSlow as error:
            raise _too_slow(response.url, str(error)) from error

    def read(self, method: str, response: httpx.Response, cap: int) -> Reply:
        """Reads at most ``cap`` bytes; more of a good answer is an error, more of a bad one is cut off (CVE-2020-1702).
        """
        cap = cap if response.is_success else ERROR_BODY_CAP
        body = bytearray()
        for piece in self.pieces(response, self._pace.whole):
            body += piece
            if len(body) > cap:
                if response.is_success:
                    raise RegistryError(f"{method} {redact(response.url)} answered with more than {cap} bytes")
                break
        return Reply(method, response.url, response.status_code, response.headers, bytes(body[:cap]))

    def _close(self, method: str, response: httpx.Response) -> Reply:
        """Reads what is left of an answer that nobody wants, so that its connection can serve the next request."""
        try:
            return self.read(method, response, ERROR_BODY_CAP)
        except (httpx.TransportError, RegistryError):
            return Reply(method, response.url, response.status_code, response.headers)
        finally:
            response.close()

    def _ask_token_server(self, method: str, url: httpx.URL, headers: dict[str, str], body: bytes | None) -> Reply:
        """A token server may live elsewhere; redirects within its own origin are all that it is granted."""
        server = Origin.of(url)
        call = Call(method, url, headers=headers, body=body, cap=_TOKEN_REPLY_CAP)
        for _ in range(_HOPS):
            response = self._send_once(call, url, None)
            if not response.has_redirect_location:
                try:
                    return self.read(method, response, call.cap)
                finally:
                    response.close()
            self._close(method, response)
            url = follow(response.headers["Location"], response.url, self.origin, self._warn)
            if Origin.of(url) != server:
                raise RegistryError(f"The token server {server} redirects to {redact(url)}; nothing was sent there")
        raise RegistryError(f"The token server {server} redirected more than {_HOPS} times")

    def _unreachable(self, url: httpx.URL, method: str, error: httpx.TransportError) -> Unreachable:
        return explain(error, f"{method} {redact(url)}", url.host, reached=self._reached)


class _Watched(httpx.SyncByteStream):
    """A body whose every piece must be taken in the time that the slowest server may need for it."""

    def __init__(self, body: Body, deadline: Deadline, pace: Pace) -> None:
        self._body, self._deadline, self._pace = body, deadline, pace

    def __iter__(self) -> Iterator[bytes]:
        self._deadline.put_off(None)  # while the body's own source is waited for
        for piece in self._body:
            self._deadline.put_off(self._pace.longest(len(piece)))
            yield piece
            self._deadline.put_off(None)
        self._deadline.put_off(_COMMIT + self._pace.whole)


def _too_slow(url: httpx.URL, what: str) -> Unreachable:
    return Unreachable(f"{redact(url)} is too slow: {what}", temporary=False,
                       hint="Check the network, and whether a proxy in between holds back.")


def refuse_cookies() -> CookieJar:
    """A jar that takes nothing, from any host or port."""
    return CookieJar(DefaultCookiePolicy(allowed_domains=[]))


def _headers(call: Call, url: httpx.URL, authorization: str | None) -> dict[str, str]:
    """All of them: a request that is made with a stream gets none from httpx."""
    headers = {"Host": url.netloc.decode(), "User-Agent": _USER_AGENT, "Accept": "*/*", "Accept-Encoding": "identity"}
    headers |= call.headers
    if call.content_length is not None:
        headers["Content-Length"] = str(call.content_length)
    if authorization is not None:
        headers["Authorization"] = authorization
    return headers
