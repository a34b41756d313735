"""An engine that is reached over TCP: nothing of its files can be seen, and everything must still be right."""

from __future__ import annotations

import socket
import socketserver
import threading
from contextlib import contextmanager
from dataclasses import replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

import pytest

from assembler.engine.connect import connect
from assembler.engine.container import ContainerSpec
from assembler.engine.overlay import Unreadable
from assembler.engine.preflight import check_engine_room
from tests.support import engines

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from assembler.engine.client import Engine

pytestmark = pytest.mark.engine


class Forwarder(socketserver.BaseRequestHandler):
    unix: str

    def handle(self) -> None:
        with socket.socket(socket.AF_UNIX) as inside:
            inside.connect(self.unix)
            back = threading.Thread(target=_copy, args=(inside, self.request))
            back.start()
            _copy(self.request, inside)
            back.join()


def _copy(source: socket.socket, sink: socket.socket) -> None:
    try:
        while data := source.recv(1 << 16):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        pass  # one side is gone


@contextmanager
def forwarded(unix: Path) -> Iterator[str]:
    """A TCP address that leads to the unix socket."""
    handler = type("Forwarder", (Forwarder,), {"unix": str(unix)})
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), handler) as server:
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        yield f"tcp://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        serving.join()


@pytest.fixture
def remote() -> Iterator[Engine]:
    unix = connect("docker").info.socket
    assert unix is not None
    with forwarded(unix) as address, engines.environment({"DOCKER_HOST": address}):
        yield connect("docker")


def test_a_remote_engine(remote: Engine) -> None:
    image = remote.images.import_rootfs(engines.busybox_rootfs(), {})
    spec = ContainerSpec(image, "remote", network="none")
    assert not remote.info.local
    assert remote.disk is None and check_engine_room(remote, 1 << 60) is None
    with remote.session(replace(spec, scratch=(PurePosixPath("/scratch"),))) as session:
        session.write_file(PurePosixPath("/big"), bytes(2_000_000), 0o644)
        assert session.pid is None
        assert session.overlay() == Unreadable("the engine's processes are not this machine's")
        assert session.scratch_directories() == {}
        assert {b"scratch", b"proc", b"etc/hosts"} <= set(session.mounts())
        size = session.size_rw()
        assert size is not None and 2_000_000 <= size < 2_100_000
        with session.paused(), session.export() as stream:
            assert len(stream.read()) > 2_000_000
    remote.images.remove(image)
