"""A real transport that remembers what went through it, and can break once."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import httpx


class RecordingTransport(httpx.BaseTransport):
    def __init__(self) -> None:
        self._inner = httpx.HTTPTransport()
        self._lock = threading.Lock()
        self._break_after: int | None = None
        self.requests: list[httpx.Request] = []

    def break_body_after(self, amount: int) -> None:
        """The first body that is longer ends after so many bytes, with the connection."""
        self._break_after = amount

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        with self._lock:
            self.requests.append(request)
            limit = self._break_after
            breaks = limit is not None and int(request.headers.get("Content-Length", "0")) > limit
            self._break_after = None if breaks else limit
        if not breaks or limit is None:
            return self._inner.handle_request(request)
        broken = httpx.Request(request.method, request.url, headers=request.headers,
                               stream=_Broken(request.stream, limit), extensions=request.extensions)
        return self._inner.handle_request(broken)

    def close(self) -> None:
        self._inner.close()

    @property
    def methods(self) -> list[str]:
        return [request.method for request in self.requests]


class _Broken(httpx.SyncByteStream):
    def __init__(self, stream: object, limit: int) -> None:
        self._stream = stream
        self._limit = limit

    def __iter__(self) -> Iterator[bytes]:
        assert isinstance(self._stream, httpx.SyncByteStream)
        left = self._limit
        for piece in self._stream:
            yield piece[:left]
            left -= len(piece)
            if left <= 0:
                raise httpx.WriteError("the line is cut")
