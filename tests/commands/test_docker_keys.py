"""HEALTHCHECK, SHELL, ONBUILD, STOPSIGNAL and VOLUME of a recipe, as Docker and podman have them of an image."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.support import engines

if TYPE_CHECKING:
    from pathlib import Path

RECIPE = """
name = "sample"
[base]
rootfs = "base.tar"
[[file]]
path = "/opt/x"
content = "x"
[[image]]
name = "sample"
reference = "127.0.0.1:1/keys:1"
compression = "gzip"
stop_signal = "SIGINT"
volumes = ["/data"]
healthcheck = { test = "test -e /opt/x", interval = 0.5, timeout = "2s", start_period = "1m", retries = 4 }
shell = ["/bin/sh", "-exc"]
onbuild = ["RUN touch /was-here", "LABEL a=b"]
[[image]]
name = "stacked"
reference = "127.0.0.1:1/keys:2"
onto = "./build/sample"
compression = "gzip"
healthcheck = "none"
onbuild = []
"""
HEALTHCHECK = {"Test": ["CMD-SHELL", "test -e /opt/x"], "Interval": 500_000_000, "Timeout": 2_000_000_000,
               "StartPeriod": 60_000_000_000, "Retries": 4}  # fmt: skip


def imgasm(folder: Path, *arguments: str) -> str:
    environment = {**os.environ, "HOME": str(folder), "IMGASM_CACHE": str(folder / "cache")}
    done = subprocess.run([sys.executable, "-m", "assembler", *arguments], cwd=folder, env=environment,
                          capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def built(tmp_path: Path) -> Path:
    """First the one image, then the other on it."""
    (tmp_path / "base.tar").write_bytes(engines.busybox_rootfs().getvalue())
    first, _, second = RECIPE.rpartition("[[image]]")
    (tmp_path / "first.toml").write_text(first)
    (tmp_path / "second.toml").write_text(first.partition("[[image]]")[0] + "[[image]]" + second)
    imgasm(tmp_path, "build", "first.toml")
    imgasm(tmp_path, "build", "second.toml", "--output", "build/second")
    return tmp_path


@pytest.mark.engine
def test_docker_has_what_the_recipe_says(built: Path) -> None:
    for name in ("sample", "second"):
        imgasm(built, "load", f"build/{name}", "--engine", "docker")
    names = ["127.0.0.1:1/keys:1", "127.0.0.1:1/keys:2"]
    said = subprocess.run(["docker", "image", "inspect", *names], capture_output=True, check=True).stdout
    first, second = (image["Config"] for image in json.loads(said))
    assert first["Healthcheck"] == HEALTHCHECK
    assert first["OnBuild"] == ["RUN touch /was-here", "LABEL a=b"]
    assert first["Shell"] == ["/bin/sh", "-exc"]
    assert first["StopSignal"] == "SIGINT" and first["Volumes"] == {"/data": {}}
    assert second["Healthcheck"] == {"Test": ["NONE"]}
    assert not second.get("OnBuild")
    assert second["Shell"] == ["/bin/sh", "-exc"]


def test_podman_reads_a_healthcheck_of_dockers_form(built: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    imgasm(built, "copy", "build/sample", "docker-archive:sample.tar")
    with engines.podman(tmp_path_factory.mktemp("podman")):
        subprocess.run(["skopeo", "copy", "-q", f"docker-archive:{built}/sample.tar",
                        "containers-storage:127.0.0.1:1/keys:1"], check=True)  # fmt: skip
        said = subprocess.run(["podman", "image", "inspect", "127.0.0.1:1/keys:1"], capture_output=True, check=True)
    assert json.loads(said.stdout)[0]["Healthcheck"] == HEALTHCHECK


def test_verify_knows_these_keys(built: Path) -> None:
    assert "Healthcheck" not in imgasm(built, "verify", "build/sample")


def test_plan_shows_them(built: Path) -> None:
    plan = imgasm(built, "plan", "first.toml")
    assert "healthcheck  test -e /opt/x, every 0.5 s, timeout 2 s, start period 60 s, 4 retries" in plan
    assert "onbuild      RUN touch /was-here; LABEL a=b" in plan
    assert "healthcheck  none (the base's is taken away)" in imgasm(built, "plan", "second.toml")
