"""An engine that does not answer: which one was asked, who said where it is, and what to do."""

from __future__ import annotations

import socket
import tempfile
from pathlib import Path

import pytest

from tests.cli.running import imgasm
from tests.support.people import person


@pytest.mark.parametrize("variable", ["DOCKER_HOST", "DOCKER_CONTEXT"])
@pytest.mark.parametrize("choice", [[], ["--engine", "docker"]], ids=str)
def test_a_wrong_docker_host_is_named_and_no_other_engine_takes_its_place(
    tmp_path: Path, variable: str, choice: list[str]
) -> None:
    done = imgasm(tmp_path, "clean", *choice, **{variable: "tcp://user:geheim@127.0.0.1:1"})
    assert done.returncode == 5
    assert f"error: docker does not answer at {variable}=tcp://127.0.0.1:1\n" in done.stderr
    assert f"hint: Check {variable} in the environment" in done.stderr


def test_a_wrong_container_host_is_named(tmp_path: Path) -> None:
    done = imgasm(tmp_path, "clean", "--engine", "podman", CONTAINER_HOST="tcp://127.0.0.1:1")
    assert done.returncode == 5
    assert "podman does not answer at CONTAINER_HOST=tcp://127.0.0.1:1" in done.stderr


@pytest.mark.root
def test_a_socket_that_this_user_may_not_use(tmp_path: Path) -> None:
    """As Docker's is, for who is not in its group."""
    with tempfile.TemporaryDirectory(dir="/run") as directory, socket.socket(socket.AF_UNIX) as docker, \
            person() as user:  # fmt: skip
        path = Path(directory, "docker.sock")
        path.parent.chmod(0o755)
        docker.bind(str(path))
        docker.listen()
        path.chmod(0o660)
        done = user.imgasm("clean", environment={"DOCKER_HOST": f"unix://{path}"})
    assert done.returncode == 5
    assert "hint: This user has no access to the engine's socket. Join its group" in done.stderr
    assert "ogin" not in done.stderr.replace("log in again", "")
