"""What engines really said, and what the user is told."""

from __future__ import annotations

import json

import pytest

from assembler.engine.info import read_info
from assembler.engine.refusal import NOT_ALLOWED, explain
from assembler.errors import EngineError

PRIVILEGED = (
    "Error response from daemon: failed to create shim task: OCI runtime create failed: runc create failed: unable to "
    "start container process: unable to apply caps: operation not permitted: unknown\n"
    "Error: failed to start containers: imgasm-1\n"
)


def test_the_reason_is_the_engines_own_words_and_not_its_last_line() -> None:
    error = explain("docker could not start the container", PRIVILEGED)
    assert "unable to apply caps" in error.message
    assert "Set privileged = false" in (error.hint or "")


@pytest.mark.parametrize(("stderr", "hint"), [
    ("Error: crun: setrlimit `RLIMIT_NOFILE`: Operation not permitted: OCI permission denied", "default_ulimits"),
    ("Error: crun: cgroups in hybrid mode not supported, drop all controllers from cgroupv2", "runc"),
    ("Cannot connect to the Docker daemon at unix:///run/docker.sock. Is the docker daemon running?", "with-engine"),
    ("write /var/lib/docker/tmp/x: no space left on device", "imgasm clean"),
    ("Error response from daemon: manifest for debian:none not found: manifest unknown: manifest unknown", "tag"),
    ("Error response from daemon: pull access denied for x, repository does not exist", "Log in"),
    ("permission denied while trying to connect to the Docker daemon socket at unix:///var/run/docker.sock: Get "
     "\"http://%2Fvar%2Frun%2Fdocker.sock/v1.24/info\": dial unix /var/run/docker.sock: connect: permission denied",
     "group"),
    ("Error: unable to connect to Podman socket: Get \"http://d/v4.3.1/libpod/_ping\": dial unix "
     "/run/podman/podman.sock: connect: permission denied", "rootless podman"),
    ("Error response from daemon: Get \"https://r/v2/\": dial tcp: lookup r: no such host", "network"),
])
def test_hints(stderr: str, hint: str) -> None:
    assert hint.lower() in (explain("it failed", stderr).hint or "").lower()


def test_a_file_that_may_not_be_read_needs_no_login() -> None:
    assert explain("it failed", "Error: open /etc/containers/x: permission denied").hint is None


def test_silence_is_said() -> None:
    assert explain("docker could not pull x", "").message == "docker could not pull x: it gave no reason"


def test_the_clients_usage_advice_is_left_out() -> None:
    error = explain("it failed", "docker: too bad.\n\nRun 'docker run --help' for more information\n")
    assert error.message == "it failed: docker: too bad."


def test_an_info_without_an_engine_is_a_refusal() -> None:
    """As Docker's client 26 answers, with status 0."""
    said = ("permission denied while trying to connect to the Docker daemon socket at unix:///run/x/s: Get "
            "\"http://%2Frun%2Fx%2Fs/v1.45/info\": dial unix /run/x/s: connect: permission denied")
    answer = {"ID": "", "Driver": "", "DockerRootDir": "", "OSType": "", "Architecture": "", "ServerVersion": "",
              "SecurityOptions": None, "ServerErrors": [said]}  # fmt: skip
    with pytest.raises(EngineError) as refused:
        read_info(json.dumps(answer), "unix:///run/x/s")
    assert (refused.value.message, refused.value.hint) == (f"docker: {said}", NOT_ALLOWED)
