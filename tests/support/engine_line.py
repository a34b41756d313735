"""The line to an engine, which can be cut: what a client sees when its daemon dies."""

from __future__ import annotations

import os
import socket
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class EngineLine:
    """``host`` is for DOCKER_HOST. After :meth:`cut` nobody answers there any more."""

    def __init__(self, path: Path) -> None:
        self.host = f"unix://{path}"
        self._path = path
        self._engine = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock").removeprefix("unix://")
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        self._ends: list[socket.socket] = []
        self._pumps: list[threading.Thread] = []

    def serve(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            engine = socket.socket(socket.AF_UNIX)
            engine.connect(self._engine)
            self._ends += [client, engine]
            for source, sink in ((client, engine), (engine, client)):
                self._pumps.append(threading.Thread(target=_pump, args=(source, sink), daemon=True))
                self._pumps[-1].start()

    def cut(self) -> None:
        self._path.unlink(missing_ok=True)
        for end in (self._listener, *self._ends):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # its peer was faster

    def close(self) -> None:
        self.cut()
        for pump in self._pumps:
            pump.join()
        for end in (self._listener, *self._ends):
            end.close()


def _pump(source: socket.socket, sink: socket.socket) -> None:
    try:
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        pass  # cut


@contextmanager
def engine_line(directory: Path) -> Iterator[EngineLine]:
    line = EngineLine(directory / "engine.sock")
    thread = threading.Thread(target=line.serve, daemon=True)
    thread.start()
    try:
        yield line
    finally:
        line.cut()
        thread.join()
        line.close()
