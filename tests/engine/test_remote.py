"""An engine that is reached over TCP: nothing of its files can be seen, and everything must still be right."""

from __future__ import annotations

import io
import socket
import socketserver
import threading
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import pytest

from assembler.engine.connect import connect
from assembler.engine.container import Bind, ContainerSpec
from assembler.engine.overlay_directories import NotReadableInPlace
from assembler.engine.preflight import check_engine_space
from assembler.engine.step import Command
from assembler.errors import EngineError
from assembler.model.container import Container
from tests.support import engines

ALONE = Container(network="none")

if TYPE_CHECKING:
    from collections.abc import Iterator

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


class Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    """Docker keeps the connection of a command that ended early for two minutes."""


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
    with Server(("127.0.0.1", 0), handler) as server:
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
    image = engines.import_rootfs(remote, engines.busybox_rootfs(), {})
    spec = ContainerSpec(image, "remote", ALONE)
    assert not remote.info.local
    assert remote.disk is None and check_engine_space(remote, 1 << 60) is None
    wanted = replace(ALONE, scratch=(PurePosixPath("/scratch"),))
    with remote.session(replace(spec, container=wanted)) as session:
        session.write_file(PurePosixPath("/big"), io.BytesIO(bytes(2_000_000)), 0o644)
        assert session.pid is None
        assert session.overlay() == NotReadableInPlace("the engine's processes are not this machine's")
        assert session.scratch_directories() == {}
        assert {b"scratch", b"proc", b"etc/hosts"} <= set(session.mounts())
        size = session.size_rw()
        assert size is not None and 2_000_000 <= size < 2_100_000
        with session.paused(), session.container.export() as stream:
            assert len(stream.read()) > 2_000_000
    remote.images.remove(image)


def test_a_source_that_the_engine_cannot_see_is_copied_in_and_is_no_part_of_the_container(
    remote: Engine, tmp_path: Path
) -> None:
    image = engines.import_rootfs(remote, engines.busybox_rootfs(), {})
    source = tmp_path / "source"
    source.write_bytes(bytes(2_000_000))
    spec = ContainerSpec(image, "copying", ALONE, binds=(Bind(source, PurePosixPath("/bin/../bin/new")),))
    with remote.session(spec) as session:
        assert b"usr/bin/new" in session.mounts(), "where the links lead"
        session.run(Command("it is there", ["/bin/sh", "-ec", "cmp -n 2000000 /usr/bin/new /dev/zero"], {}))
        size = session.size_rw()
        assert size is not None and size < 100_000
    over = replace(spec, binds=(Bind(source, PurePosixPath("/opt/old/file")),))
    with pytest.raises(EngineError, match=r"could not copy .* to /opt/old/file") as refused, remote.session(over):
        pass
    assert "path" in (refused.value.hint or "")
    remote.images.remove(image)


def test_an_engine_behind_a_mounted_socket_does_not_see_our_files(tmp_path: Path) -> None:
    """As in a CI job whose container has the host's socket: a unix socket, and yet another machine's paths."""
    shared, private = tmp_path / "source", Path("/opt/imgasm-test-source")
    shared.write_text("shared\n")
    private.write_text("private\n")
    try:
        with engines.containerd_store() as engine:
            assert engine.info.local
            assert engine.shares(shared) and not engine.shares(private)
            image = engines.import_rootfs(engine, engines.busybox_rootfs(), {})
            binds = (Bind(shared, PurePosixPath("/sources/a")), Bind(private, PurePosixPath("/sources/b")))
            with engine.session(ContainerSpec(image, "mixed", ALONE, binds=binds)) as session:
                lines: list[str] = []
                session.run(Command("both", ["/bin/cat", "/sources/a", "/sources/b"], {}), lines.append)
                assert lines == ["shared", "private"]
                assert {b"sources/a", b"sources/b"} <= set(session.mounts())
    finally:
        private.unlink()
