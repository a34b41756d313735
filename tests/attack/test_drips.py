"""A server whose answer's head drips is left after a time that is ours to choose, with and without TLS."""

from __future__ import annotations

import socketserver
import ssl
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from assembler.errors import SourceError
from assembler.model.pace import Pace
from assembler.progress import SilentProgress
from assembler.registry.retry import Clock
from assembler.source.download import Downloads, Waiting, new_client
from assembler.source.fetch import Fetcher
from assembler.source.source_cache import Cache
from tests.support.certificates import write_authority

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Drip(socketserver.BaseRequestHandler):
    closed: threading.Event

    def handle(self) -> None:
        self.request.sendall(b"HTTP/1.1 200 OK\r\nX: ")
        try:
            while not self.closed.wait(0.02):
                self.request.sendall(b"x")
        except OSError:
            return


@contextmanager
def dripping(certificates: Path | None) -> Iterator[str]:
    """Its URL."""
    handler = type("Handler", (Drip,), {"closed": threading.Event()})
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), handler) as server:
        if certificates is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificates / "server.pem", certificates / "server.key")
            server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        try:
            yield f"http{'s' if certificates else ''}://127.0.0.1:{server.server_address[1]}/file"
        finally:
            handler.closed.set()
            server.shutdown()


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "TLS"])
def test_a_source_whose_head_drips(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tls: bool) -> None:
    if tls:
        write_authority(tmp_path)
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    clock = Clock.of_system()
    waiting = Waiting(clock.sleep, clock.monotonic, 0)
    with dripping(tmp_path if tls else None) as url, new_client() as client:
        downloads = Downloads(client, SilentProgress(), waiting, Pace(whole=0.5))
        with pytest.raises(SourceError, match="there was no answer in time"):
            Fetcher(Cache(tmp_path / "cache"), downloads).fetch(url, None)
