"""scripts/with-engine on a machine that has no engine yet, or one of its user's own."""

from __future__ import annotations

import os
import pty
import subprocess
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.support.machine import Machine

pytestmark = [pytest.mark.engine, pytest.mark.root]


def has(machine: Machine, package: str) -> bool:
    asked = machine.run("dpkg-query", "--show", "--showformat", "${db:Status-Status}", package)
    return asked.stdout == "installed"


@pytest.mark.parametrize("engine", ["", "docker", "podman"])
def test_no_engine_is_installed_unasked(pristine: Machine, engine: str) -> None:
    done = pristine.run("scripts/with-engine", "echo", "ran", IMGASM_ENGINE=engine)
    assert done.returncode == 5
    assert "is not installed. Install it, or let this do so: scripts/with-engine --install ..." in done.stdout
    assert not has(pristine, "docker.io") and not has(pristine, "podman")


def test_a_person_at_a_terminal_is_asked_first(pristine: Machine) -> None:
    ours, theirs = pty.openpty()
    with subprocess.Popen(pristine.command("scripts/with-engine", "echo", "ran"), stdin=theirs, stdout=theirs,
                          stderr=theirs) as process:  # fmt: skip
        os.close(theirs)
        said = b""
        while not said.endswith(b"[y/N] "):
            said += os.read(ours, 1000)
        os.write(ours, b"n\n")
        assert process.wait(60) == 5
    os.close(ours)
    assert b"docker.io is not installed. Install it with apt-get?" in said
    assert not has(pristine, "docker.io")


def test_no_package_is_removed_to_install_another(fresh: Machine) -> None:
    """podman-docker is in the way of Docker's own client, and its user chose it."""
    fresh.run("sh", "-c", "apt-get update -qq && apt-get install -qq -y --no-install-recommends podman-docker runc")
    refused = fresh.run("scripts/with-engine", "--install", "true", IMGASM_ENGINE="docker", CONTAINERS_CONF="/missing")
    assert refused.returncode == 5 and "without removing anything" in refused.stdout
    refused = fresh.run("scripts/install", "--test")
    assert refused.returncode == 1 and "without removing anything" in refused.stdout
    assert has(fresh, "podman-docker") and not has(fresh, "docker-cli")
    done = fresh.run("scripts/with-engine", "sh", "-c", "docker --version", IMGASM_ENGINE="docker")
    assert done.returncode == 0 and "podman version 5" in done.stdout


def test_a_users_own_podman_is_used_as_it_is(debian_13: Machine) -> None:
    """Rootless. runc, because crun does not run on every kernel's cgroups."""
    made = debian_13.run("sh", "-euc", """
        apt-get update -qq
        apt-get install -qq -y --no-install-recommends podman runc uidmap
        useradd --create-home ann
        mkdir -p /home/ann/.config/containers
        printf '[engine]\\nruntime = "runc"\\n' >/home/ann/.config/containers/containers.conf
        cp scripts/with-engine /home/ann
        chown -R ann: /home/ann""")
    assert made.returncode == 0, made.stdout
    done = debian_13.run("runuser", "-u", "ann", "--", "env", "--chdir=/home/ann", "HOME=/home/ann",
                         "./with-engine", "sh", "-c", 'echo "$IMGASM_ENGINE${CONTAINERS_CONF:-}"')  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "podman\n")
