"""A TCP proxy on loopback that counts the bytes of both directions: what really goes over the wire."""

from __future__ import annotations

import socket
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


class CountingProxy:
    """``host`` takes the place of the registry's; ``up`` are bytes to the registry, ``down`` bytes from it."""

    def __init__(self, target: str) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._lock = threading.Lock()
        self.host = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self.reset()

    def reset(self) -> None:
        self.up = self.down = 0

    @property
    def total(self) -> int:
        return self.up + self.down

    def serve(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve_one, args=(client,), daemon=True).start()

    def _serve_one(self, client: socket.socket) -> None:
        name, _, port = self._target.partition(":")
        with client, socket.create_connection((name, int(port))) as server:
            down = threading.Thread(target=self._pass, args=(server, client, "down"), daemon=True)
            down.start()
            self._pass(client, server, "up")
            down.join()

    def _pass(self, source: socket.socket, sink: socket.socket, way: str) -> None:
        """Until either side ends; then neither waits for the other."""
        try:
            while data := source.recv(65536):
                with self._lock:
                    setattr(self, way, getattr(self, way) + len(data))
                sink.sendall(data)
        except OSError:
            pass
        for end in (source, sink):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


@contextmanager
def counting_proxy(target: str) -> Iterator[CountingProxy]:
    """In front of ``target``, which is ``host:port``."""
    proxy = CountingProxy(target)
    thread = threading.Thread(target=proxy.serve, daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        proxy.close()
        thread.join()
