"""A line that breaks: a TCP proxy on loopback that cuts every connection after a random number of bytes."""

from __future__ import annotations

import random
import socket
import struct
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_PIECE: Final = 64 * 1024
_RESET: Final = struct.pack("ii", 1, 0)


class CuttingProxy:
    """``host`` is ``127.0.0.1:port``; ``sent`` the bytes that clients sent; ``cuts`` counts the cut connections.

    A connection lives for 0 to 2 * ``mean_life`` bytes, both directions together. Half of the cuts are
    resets, half are ends.
    """

    def __init__(self, target: str, mean_life: float, seed: int) -> None:
        address, port = target.split(":")
        self._target = (address, int(port))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._chance = random.Random(seed)
        self._mean_life = mean_life
        self._lock = threading.Lock()
        self.host = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self.sent = 0
        self.cuts = 0

    def serve(self) -> None:
        """Until :meth:`close`."""
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            with self._lock:
                life = round(self._chance.uniform(0, 2 * self._mean_life))
                resets = self._chance.random() < 0.5
            line = _Line(self, client, socket.create_connection(self._target), life, resets)
            threading.Thread(target=line.run, daemon=True).start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def count_sent(self, amount: int) -> None:
        with self._lock:
            self.sent += amount

    def count_cut(self) -> None:
        with self._lock:
            self.cuts += 1


class _Line:
    """One connection through the proxy."""

    def __init__(
        self, proxy: CuttingProxy, client: socket.socket, server: socket.socket, life: int, resets: bool
    ) -> None:
        self._proxy = proxy
        self._client = client
        self._server = server
        self._resets = resets
        self._left = life
        self._cut = threading.Event()
        self._lock = threading.Lock()

    def run(self) -> None:
        with self._client, self._server:
            down = threading.Thread(target=self._pump, args=(self._server, self._client), daemon=True)
            down.start()
            self._pump(self._client, self._server, self._proxy.count_sent)
            down.join()

    def _pump(self, source: socket.socket, sink: socket.socket, count: Callable[[int], None] | None = None) -> None:
        try:
            while data := source.recv(_PIECE):
                if count is not None:
                    count(len(data))
                granted = self._grant(len(data))
                sink.sendall(data[:granted])
                if granted < len(data):
                    self._break()
            if not self._cut.is_set():
                sink.shutdown(socket.SHUT_WR)
        except OSError:
            self._break()

    def _grant(self, wanted: int) -> int:
        with self._lock:
            granted = min(wanted, self._left)
            self._left -= granted
            return granted

    def _break(self) -> None:
        """Wakes the other direction; closing then says to both ends what kind of cut it is."""
        with self._lock:
            if self._cut.is_set():
                return
            self._cut.set()
        self._proxy.count_cut()
        for end in (self._client, self._server):
            if self._resets:
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            try:
                end.shutdown(socket.SHUT_RD if self._resets else socket.SHUT_RDWR)
            except OSError:
                pass  # that end was faster


@contextmanager
def cutting_proxy(target: str, mean_life: float, seed: int) -> Iterator[CuttingProxy]:
    proxy = CuttingProxy(target, mean_life, seed)
    thread = threading.Thread(target=proxy.serve, daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        proxy.close()
        thread.join()
