"""The recipes without steps, rehearsed with a registry of this machine: no engine builds, one runs what came out."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from assembler.image.layout import Layout
from tests.support.debian_registry import debian_registry
from tests.support.engines import BUSYBOX
from tests.support.thin import Imgasm, busybox, layer_names, read_json, rootfs, write_image

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.debian_registry import DebianRegistry

FOLDER = Path(__file__).parents[2] / "recipes"
FRAMEWORKS = ["tensorflow", "pytorch"]


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DebianRegistry]:
    """With an image of modules for this machine's kernel (none of them), and two frameworks' images."""
    directory = tmp_path_factory.mktemp("images")
    with debian_registry(tmp_path_factory.mktemp("registry")) as registry:
        layout = Layout.create(directory / "images")
        conf = f"kernels='{os.uname().release}'\nfolder=/opt/nvidia\nmodules=\nneeds=\n"
        modules = rootfs({
            "opt": None, "opt/nvidia": None, "opt/nvidia/busybox": BUSYBOX.read_bytes(),
            "opt/nvidia/load": (FOLDER / "modules" / "load").read_bytes(),
            "opt/nvidia/modules.conf": conf.encode(),
        })  # fmt: skip
        write_image(layout, f"{registry.host}/nvidia-modules:535-here", modules)
        for name in FRAMEWORKS:
            entrypoint = b"#!/bin/sh\necho $0; exec $@\n"
            program = rootfs({"opt": None, "opt/nvidia": None, "opt/nvidia/entrypoint": entrypoint})
            config = {"Entrypoint": ["/opt/nvidia/entrypoint"], "Cmd": ["echo", name]}
            write_image(layout, f"{registry.host}/{name}:1", busybox(), program, **config)
        Imgasm(directory)("push", "images")
        yield registry


@pytest.mark.engine
@pytest.mark.parametrize("name", FRAMEWORKS)
def test_a_framework_gets_the_modules_and_starts_its_own_program(
    name: str, registry: DebianRegistry, tmp_path: Path
) -> None:
    imgasm = Imgasm(tmp_path)
    variables = {"registry": registry.host, "kernel": "here", name: f"{registry.host}/{name}:1"}
    settings = [word for key, value in variables.items() for word in ("--set", f"{key}={value}")]
    image = imgasm.json("build", str(FOLDER / f"{name}-gpu.toml"), *settings)["images"][0]

    layout = tmp_path / "build" / f"{name}-gpu"
    assert sorted(layer_names(layout, image["manifest"])) == [
        "opt/", "opt/nvidia/", "opt/nvidia/busybox", "opt/nvidia/load", "opt/nvidia/modules.conf",
    ]  # fmt: skip
    assert read_json(layout, image["manifest"])["annotations"]["kernel.release"] == "here"
    imgasm("push", "--compression", "gzip")
    run = ["docker", "run", "--rm", "--network", "none", f"{registry.host}/{name}-gpu:535-here"]
    done = subprocess.run(run, capture_output=True, text=True, check=True)
    assert done.stdout == f"/opt/nvidia/entrypoint\n{name}\n"
