"""One machine, one platform, whichever engine says it: it stands in every image's config."""

from __future__ import annotations

import json

import pytest

from assembler.engine.info import read_info
from assembler.model.platform import Platform


def docker(machine: str) -> Platform:
    info = {"ServerVersion": "20.10", "Driver": "overlay2", "DockerRootDir": "/d", "OSType": "linux",
            "Architecture": machine}
    return read_info(json.dumps(info), "unix:///s").platform


def podman(arch: str, **more: str) -> Platform:
    info = {"host": {"arch": arch, "os": "linux", "security": {"rootless": False}, **more},
            "store": {"graphDriverName": "overlay", "graphRoot": "/p"}, "version": {"Version": "4.3.1"}}
    return read_info(json.dumps(info), "").platform


@pytest.mark.parametrize(("machine", "arch", "variants", "platform"), [
    ("x86_64", "amd64", ("",), "linux/amd64"),
    ("aarch64", "arm64", ("", "v8"), "linux/arm64"),
    ("armv7l", "arm", ("", "v7"), "linux/arm/v7"),
    ("armv6l", "arm", ("v6",), "linux/arm/v6"),
])
def test_docker_and_podman_tell_one_platform(
    machine: str, arch: str, variants: tuple[str, ...], platform: str
) -> None:
    told = {docker(machine), *(podman(arch, variant=variant) for variant in variants)}
    if "" in variants:
        told.add(podman(arch))  # 4.3 has no such key
    assert set(map(str, told)) == {platform}
