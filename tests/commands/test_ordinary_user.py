"""Every way of running that the README names, as the user who would run that way."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from assembler.engine.connect import connect
from tests.commands.test_build import Cli, contents
from tests.engine.test_remote import forwarded
from tests.support.people import Person, person

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.engine


@pytest.fixture
def someone(tmp_path: Path) -> Iterator[Person]:
    with person() as someone:
        Cli(tmp_path).recipe()
        someone.give(*(tmp_path / name for name in ("base.tar", "input.txt", "sample.toml")))
        yield someone


@pytest.fixture
def as_root(tmp_path: Path) -> dict[str, bytes]:
    """The layout that root's build makes."""
    cli = Cli(tmp_path)
    cli("build", cli.recipe(), "--engine", "docker")
    return contents(tmp_path / "build/sample")


@pytest.fixture
def socket() -> Path:
    socket = connect("docker").info.socket
    assert socket is not None
    return socket


@pytest.mark.parametrize("way", ["auto", "export"])
def test_05_a_user_in_group_docker_builds_what_root_builds(
    someone: Person, as_root: dict[str, bytes], socket: Path, way: str
) -> None:
    done = someone.imgasm("build", "sample.toml", "--capture", way, "--json", "--prove", socket=socket)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["engine"]["capture"] == "exports"
    assert contents(someone.home / "build/sample") == as_root
    if way == "auto":
        for command in (["load", "--engine", "docker"], ["clean", "--engine", "docker"]):
            done = someone.imgasm(*command, socket=socket)
            assert done.returncode == 0, done.stderr


def test_05_rootless_podman_builds_what_root_builds(someone: Person, as_root: dict[str, bytes]) -> None:
    done = someone.imgasm("build", "sample.toml", "--engine", "podman", "--json", "--prove",
                          environment=someone.rootless_podman())
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["engine"]["capture"] == "exports"
    assert contents(someone.home / "build/sample") == as_root


def test_05_an_ordinary_user_builds_over_a_connection(
    someone: Person, as_root: dict[str, bytes], socket: Path
) -> None:
    with forwarded(socket) as address:
        done = someone.imgasm("build", "sample.toml", "--json", "--prove", environment={"DOCKER_HOST": address})
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["engine"]["capture"] == "exports"
    assert contents(someone.home / "build/sample") == as_root


def test_05_a_user_without_an_engine_is_told_what_to_do(someone: Person) -> None:
    done = someone.imgasm("build", "sample.toml", "--engine", "docker",
                          environment={"DOCKER_HOST": f"unix://{someone.home}/no/socket"})
    assert done.returncode == 5 and "Traceback" not in done.stderr
    assert "docker does not answer" in done.stderr


def test_05_without_an_engine_an_ordinary_user_builds_what_root_builds(
    someone: Person, as_root: dict[str, bytes]
) -> None:
    done = someone.imgasm("build", "sample.toml", "--engine", "host", "--json", "--prove")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["engine"]["capture"] == "exports"
    assert contents(someone.home / "build/sample") == as_root
    done = someone.imgasm("clean", "--engine", "host")
    assert done.returncode == 0 and "no build uses it now" in done.stdout, done.stdout + done.stderr
    assert not list((someone.home / ".cache/imgasm/host").glob("*/*/files"))
