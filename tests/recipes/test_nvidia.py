"""The main job on the real thing: compile, assemble, push, pull with another engine, and let a real kernel judge."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.recipes.conftest import KERNEL
from tests.support import engines
from tests.support.debian_registry import debian_registry
from tests.support.qemu import boot

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.qemu import Kernel

pytestmark = [pytest.mark.engine, pytest.mark.timeout(1800)]

ROOT = Path(__file__).parent.parent.parent
RECIPE = ROOT / "recipes" / "debian-6.1-nvidia-535.toml"


@pytest.fixture(scope="module")
def built(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """The build's record, after its images were pushed to a registry."""
    directory = tmp_path_factory.mktemp("nvidia")
    environment = {**os.environ, "HOME": str(directory), "IMGASM_CACHE": str(cache)}

    def imgasm(*arguments: str) -> str:
        command = [sys.executable, "-m", "assembler", *arguments]
        done = subprocess.run(command, cwd=directory, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-5000:]
        return done.stdout

    with debian_registry(directory / "registry") as registry:
        options = ("--set", f"registry={registry.host}", "--engine", "docker", "--json")
        record: dict[str, Any] = json.loads(imgasm("build", str(RECIPE), *options))
        assert "nvidia-modules" in imgasm("push")
        assert "error" not in imgasm("verify")
        yield record


@pytest.fixture(scope="module")
def pulled(built: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What another engine than the one that built it gets out of the registry: the files of ``nvidia-modules``."""
    directory = tmp_path_factory.mktemp("pulled")
    reference = built["images"][0]["reference"]
    with engines.podman(tmp_path_factory.mktemp("podman")):
        run = ["podman", "run", "--rm", "--network", "none"]
        subprocess.run(["podman", "pull", "--quiet", "--tls-verify=false", reference], check=True)
        refused = subprocess.run([*run, reference], capture_output=True, text=True, check=False)
        subprocess.run(["podman", "create", "--name", "modules", reference], check=True, stdout=subprocess.DEVNULL)
        subprocess.run(["podman", "cp", "modules:/opt", str(directory)], check=True)
    # The container ran, and its loader saw that this machine's kernel is another one.
    assert f"the modules are for the kernel {KERNEL}, but this host runs" in refused.stderr
    return directory


def test_the_layer_is_small_and_the_report_tells_why(built: dict[str, Any]) -> None:
    scratch, debian = built["images"]
    assert scratch["base"] == [] and len(debian["base"]) == 1
    assert scratch["layer"]["compressed"] < 100_000_000
    steps = {step["name"]: step for step in built["steps"]}
    assert steps["compile"]["scratch"] > 300_000_000 and steps["compile"]["added"] == 0
    assert built["dockerfile"]["bytes"] > 9 * scratch["layer"]["uncompressed"]


def test_the_modules_are_for_that_kernel(pulled: Path) -> None:
    for module in ("nvidia.ko", "nvidia-uvm.ko"):
        file = pulled / "opt" / "nvidia" / KERNEL / module
        told = subprocess.run(["modinfo", "-F", "vermagic", str(file)], capture_output=True, text=True, check=True)
        assert told.stdout.startswith(f"{KERNEL} SMP preempt mod_unload modversions")


def test_the_firmware_that_the_modules_name_is_beside_them(pulled: Path) -> None:
    nvidia = pulled / "opt" / "nvidia"
    told = subprocess.run(["modinfo", "-F", "firmware", str(nvidia / KERNEL / "nvidia.ko")],
                          capture_output=True, text=True, check=True)  # fmt: skip
    named = told.stdout.split()
    assert named and [name for name in named if not (nvidia / "firmware" / name).stat().st_size] == []


def test_a_real_kernel_takes_the_modules(pulled: Path, kernel: Kernel, tmp_path: Path) -> None:
    """Booted on the matching kernel, nvidia.ko finds its symbols and versions right, and only misses a GPU."""
    console = boot(kernel, pulled, "/opt/nvidia/busybox sh /opt/nvidia/load", tmp_path)
    assert "NVRM: No NVIDIA GPU found." in console
    assert "disagrees about version" not in console and "Unknown symbol" not in console
