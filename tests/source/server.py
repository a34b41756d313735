"""A real HTTP server on loopback that serves one file, as well or as badly as a test wants."""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

ETAG = '"v1"'


@dataclass
class Served:
    """What the server has, and how it misbehaves.

    ``silence`` is for how long it says nothing before each answer, in seconds; ``redirects`` are the places that the
    coming requests are sent to instead, ``authorizations`` what they brought.

    ``cuts`` has for each coming request the number of body bytes after which the connection is cut; ``statuses`` the
    answers of the coming requests that are refused. ``ranges`` and ``if_ranges`` are those that were asked for.
    """

    content: bytes
    etag: str | None = ETAG
    takes_ranges: bool = True
    shift: int = 0
    silence: float = 0.0
    redirects: list[str] = field(default_factory=list)
    authorizations: list[str | None] = field(default_factory=list)
    agents: list[str | None] = field(default_factory=list)
    cuts: list[int] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    ranges: list[str | None] = field(default_factory=list)
    if_ranges: list[str | None] = field(default_factory=list)
    encodings: list[str | None] = field(default_factory=list)
    url: str = ""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_GET(self) -> None:
        served = self.server.served
        served.ranges.append(self.headers["Range"])
        served.if_ranges.append(self.headers["If-Range"])
        served.encodings.append(self.headers["Accept-Encoding"])
        served.authorizations.append(self.headers["Authorization"])
        served.agents.append(self.headers["User-Agent"])
        time.sleep(served.silence)
        if served.redirects:
            self._answer(302, b"", {"Content-Length": "0", "Location": served.redirects.pop(0)})
        elif served.statuses:
            self._answer(served.statuses.pop(0), b"", {"Content-Length": "0"})
        else:
            self._send_file(served)

    def _send_file(self, served: Served) -> None:
        start = self._start(served)
        if start >= len(served.content) > 0 and start:
            self._answer(416, b"", {"Content-Length": "0", "Content-Range": f"bytes */{len(served.content)}"})
            return
        body = served.content[start:]
        headers = {"Content-Length": str(len(body))}
        if served.etag:
            headers["ETag"] = served.etag
        if start:
            first = start + served.shift
            headers["Content-Range"] = f"bytes {first}-{len(served.content) - 1}/{len(served.content)}"
        cut = served.cuts.pop(0) if served.cuts else None
        self._answer(206 if start else 200, body[:cut], headers)
        if cut is not None:
            self._cut()

    def _start(self, served: Served) -> int:
        match = re.fullmatch(r"bytes=(\d+)-", self.headers["Range"] or "")
        if match is None or not served.takes_ranges:
            return 0
        wanted = self.headers["If-Range"]
        return int(match[1]) if wanted is None or wanted == served.etag else 0

    def _answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, **self.server.served.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def _cut(self) -> None:
        """Ends the connection; what was sent before arrives."""
        self.wfile.flush()
        self.connection.shutdown(socket.SHUT_WR)
        self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:
        pass


class _Server(ThreadingHTTPServer):
    def __init__(self, served: Served) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.served = served


@contextmanager
def serving(served: Served) -> Iterator[Served]:
    """Sets ``served.url`` to where the file is."""
    with _Server(served) as server:
        served.url = f"http://127.0.0.1:{server.server_port}/files/linux.tar.xz"
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield served
        finally:
            server.shutdown()
            thread.join()
