"""Builds over a connection: the engine shares no path, no process and no file system with the command line."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from assembler.engine.connect import connect
from tests.commands.test_build import Cli, contents
from tests.engine.test_remote import forwarded
from tests.support import engines

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.engine

ELSEWHERE = """
mount -t tmpfs none "$1"
cp -a "$2/." "$1"
[ ! -d "$3" ] || mount -t tmpfs none "$3"
cd "$1"
shift 3
"$@"
"""


@contextmanager
def remote_podman(directory: Path) -> Iterator[tuple[dict[str, str], Path]]:
    """podman's service on a TCP port, and what a client of it needs in its environment."""
    with engines.podman(directory):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        service = subprocess.Popen(["podman", "system", "service", "--time", "0", f"tcp://127.0.0.1:{port}"],
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            while service.poll() is None:
                with socket.socket() as probe:
                    if not probe.connect_ex(("127.0.0.1", port)):
                        break
                time.sleep(0.05)
            yield {"CONTAINER_HOST": f"tcp://127.0.0.1:{port}"}, directory
        finally:
            service.terminate()
            service.wait()


@contextmanager
def remote_docker() -> Iterator[tuple[dict[str, str], Path]]:
    info = connect("docker").info
    assert info.socket is not None
    with forwarded(info.socket) as address:
        yield {"DOCKER_HOST": address}, info.root


@pytest.mark.parametrize("name", ["docker", "podman"])
def test_a_build_over_tcp_from_another_machine_gives_the_same_layout(name: str, tmp_path: Path) -> None:
    """With a source, which can't be mounted there, and with files that the engine's machine does not see."""
    here = tmp_path / "here"
    here.mkdir()
    cli = Cli(here)
    recipe = cli.recipe()
    text = (here / recipe).read_text()
    (here / recipe).write_text(text.replace('name = "write"', 'name = "write"\ncheckpoint = true'))
    cli("build", recipe, "--engine", "docker")
    (tmp_path / "podman").mkdir()
    with remote_docker() if name == "docker" else remote_podman(tmp_path / "podman") as (found, data):
        there = tmp_path / "there"
        there.mkdir()
        shutil.rmtree(here / ".cache")
        build = cli.command("build", recipe, "--engine", name, "--json", "--prove", "--output", "remote")
        script = ELSEWHERE + f"cp -a remote {tmp_path}/result"
        done = subprocess.run(
            ["unshare", "--mount", "sh", "-ec", script, "sh", there, here, data, *build],
            env={**cli.environment, **found}, capture_output=True, text=True, check=False,
        )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert not list(there.iterdir())
    record = json.loads(done.stdout)
    assert (record["engine"]["name"], record["engine"]["capture"]) == (name, "exports")
    assert "no checkpoint after step write: the engine's processes are not this machine's" in record["notes"]
    assert contents(tmp_path / "result") == contents(here / "build/sample")
