"""README's two commands on the next Debian: Docker 26, podman 5, Python 3.13, mmdebstrap 1.5."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.support.machine import Machine

pytestmark = [pytest.mark.engine, pytest.mark.root]


@pytest.mark.parametrize(("engine", "version"), [("docker", "26"), ("podman", "5")])
def test_the_demo_on_debian_13(debian_13: Machine, engine: str, version: str) -> None:
    """From nothing: the base that mmdebstrap makes there is taken by this engine, and what comes out runs."""
    debian_13.run("rm", "-rf", "build")  # what one engine has built, the other one would not build again
    done = debian_13.run("scripts/demo", "recipes/hello.toml", IMGASM_ENGINE=engine)
    assert done.returncode == 0, done.stdout
    assert re.search(rf"hello: 3 steps in [\d.]+s, {engine} {version}\.", done.stdout)
    assert done.stdout.endswith("Hello from one layer.\n"), done.stdout
    assert debian_13.run(".venv/bin/python", "--version").stdout.startswith("Python 3.13.")
    assert debian_13.run("sh", "-c", "ls /var/tmp /tmp").stdout.split() == ["/tmp:", "/var/tmp:"]


def test_what_the_tests_need_is_in_debian_13(debian_13: Machine) -> None:
    """All packages of scripts/install --test, without taking half an hour to unpack them."""
    listed = debian_13.run("scripts/install", "--test", "--list")
    packages = listed.stdout.split()
    assert listed.returncode == 0 and {"docker-cli", "podman", "chromium"} <= set(packages)
    debian_13.run("apt-get", "update", "-qq")
    done = debian_13.run("apt-get", "install", "--simulate", "--no-install-recommends", "--no-remove", "-y", *packages)
    assert done.returncode == 0, done.stdout
