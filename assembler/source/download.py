"""One file over HTTP, through broken connections (RFC 9110, sections 13.1.5 If-Range, 14 Range Requests)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

import httpx

from assembler.deadline import WatchedSockets
from assembler.errors import SourceError
from assembler.model.certificates import system_trust
from assembler.model.pace import Pace, TooSlow, paced
from assembler.progress import Progress
from assembler.source.partial_download import Partial
from assembler.version import __version__

_KNOCKS: Final = 4
"""Attempts at a server that is not there: its name is mistyped more often than it comes back."""

_PASSING_STATUSES: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
_USUAL_WAIT: Final = 10.0
_LONGEST_WAIT: Final = 60.0
_CONTENT_RANGE: Final = re.compile(r"bytes ([0-9]+)-[0-9]+/([0-9]+|\*)")


class _Interrupted(Exception):
    """This attempt failed, but another may not."""

    def __init__(self, reason: str, wait: float | None = None) -> None:
        super().__init__(reason)
        self.wait = wait


def new_client() -> httpx.Client:
    """The one client for sources: follows redirects; a server that is silent for a minute counts as gone.

    Raises SourceError for a proxy in the environment that can't be used.
    """
    try:
        return httpx.Client(
            verify=system_trust(),
            follow_redirects=True,
            timeout=httpx.Timeout(60, connect=20),
            headers={"User-Agent": f"imgasm/{__version__}"},
        )
    except (ImportError, ValueError) as error:  # a SOCKS proxy, a proxy without a scheme
        raise SourceError(
            "the proxy that the environment names can't be used",
            hint="Give HTTP_PROXY, HTTPS_PROXY and ALL_PROXY the form http://host:port.",
        ) from error


@dataclass(frozen=True, slots=True)
class Waiting:
    """``sleep`` takes seconds, ``now`` counts them, ``patience`` are those that all pauses in a row may take.

    An attempt that brings bytes begins a new row."""

    sleep: Callable[[float], None]
    now: Callable[[], float]
    patience: float


@dataclass(frozen=True, slots=True)
class Downloads:
    """What downloading needs. ``sockets`` are the ``client``'s, ``pace`` is how slow a server may be."""

    client: httpx.Client
    progress: Progress
    waiting: Waiting
    pace: Pace = field(default_factory=Pace)
    sockets: WatchedSockets = field(default_factory=WatchedSockets)


def download(url: str, partial: Partial, downloads: Downloads, *, blind: bool) -> None:
    """Completes ``partial``.

    ``blind`` allows to go on where a former answer ended although the server names no version of the file: right only
    if the digest is known and will be checked. Raises SourceError.
    """
    waiting, failures, waited = downloads.waiting, 0, 0.0
    while True:
        before = partial.size
        try:
            _attempt(url, partial, blind, downloads)
            return
        except (httpx.TransportError, _Interrupted) as error:
            if partial.size > before:
                failures, waited = 0, 0.0
            failures += 1
            reason = str(error) or type(error).__name__
            pause = min(getattr(error, "wait", None) or min(float(2 ** (failures - 1)), _USUAL_WAIT), _LONGEST_WAIT)
            is_away = isinstance(error, httpx.ConnectError) and failures >= _KNOCKS
            if is_away or waited + pause >= waiting.patience:
                raise SourceError(
                    f"{shown(url)} can't be fetched: {reason}",
                    hint="Run the same command again: it continues from what was fetched so far. --retry-for sets how "
                         "long it tries.",
                ) from error
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise SourceError(f"{shown(url)} can't be fetched: {error}") from error
        except TooSlow as error:
            raise SourceError(f"{shown(url)} can't be fetched: {error}",
                              hint="Take it from another server.") from error
        downloads.progress.say(f"{shown(url)}: {reason}; trying again")
        waited += pause
        waiting.sleep(pause)


def shown(url: str) -> str:
    """``url`` without the parts that may hold secrets."""
    return str(httpx.URL(url).copy_with(username=None, password=None, query=None, fragment=None))


def _attempt(url: str, partial: Partial, blind: bool, downloads: Downloads) -> None:
    # Compressed on the way, the bytes would not be those of the digest, and ranges would count something else.
    headers = {"Accept-Encoding": "identity"}
    if partial.size and (blind or partial.validator):
        headers["Range"] = f"bytes={partial.size}-"
        if partial.validator:
            headers["If-Range"] = partial.validator
    with _opened(url, headers, downloads) as response:
        total = _accept(response, url, partial)
        with downloads.progress.task(shown(url).rpartition("/")[2], total=total) as task:
            task.advance(partial.size)
            try:
                # No chunk size: httpx would keep up to that much to itself, and lose it when the connection breaks.
                for chunk in paced(response.iter_raw(), downloads.waiting.now, downloads.pace):
                    partial.append(chunk)
                    task.advance(len(chunk))
            finally:
                partial.flush()
    if total is not None and partial.size != total:
        raise _Interrupted(f"the server sent {partial.size} of {total} bytes")


@contextmanager
def _opened(url: str, headers: dict[str, str], downloads: Downloads) -> Iterator[httpx.Response]:
    """The answer behind all redirects, with its body still to be read. TooSlow where its head does not come."""
    client, sockets = downloads.client, downloads.sockets
    request = client.build_request("GET", url, headers=headers, extensions={"trace": sockets.trace})
    with sockets.within(downloads.pace.whole) as deadline:
        try:
            response = client.send(request, stream=True)
        except httpx.TransportError as error:
            if deadline.is_over:
                raise TooSlow("there was no answer in time") from error
            raise
    try:
        yield response
    finally:
        response.close()


def _accept(response: httpx.Response, url: str, partial: Partial) -> int | None:
    """Makes ``partial`` ready for the answer's body. Returns the whole file's size, if the server tells."""
    if response.status_code == 206:
        match = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
        if match is None or int(match[1]) != partial.size:
            partial.restart()
            raise _Interrupted("the server sent another range than it was asked for")
        partial.resumed = True
        return None if match[2] == "*" else int(match[2])
    if response.status_code == 416:
        partial.restart()
        raise _Interrupted("the server has fewer bytes than were fetched before")
    if response.status_code != 200:
        _refuse(response, url)
    partial.restart(_validator(response))
    length = response.headers.get("Content-Length", "")
    return int(length) if length.isdecimal() else None


def _refuse(response: httpx.Response, url: str) -> None:
    answer = f"the server answered {response.status_code} {response.reason_phrase}".rstrip()
    if response.status_code in _PASSING_STATUSES:
        after = response.headers.get("Retry-After", "")
        raise _Interrupted(answer, float(after) if after.isdecimal() else None)
    raise SourceError(f"{shown(url)} can't be fetched: {answer}", hint="Check the URL in the recipe.")


def _validator(response: httpx.Response) -> str | None:
    etag: str = response.headers.get("ETag", "")
    if etag and not etag.startswith("W/"):
        return etag
    modified: str | None = response.headers.get("Last-Modified")
    return modified
