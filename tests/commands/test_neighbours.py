"""What others do on the engine's disk while a build runs is none of the build's business."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.thin import Imgasm, busybox

if TYPE_CHECKING:
    from assembler.engine.client import Engine

RECIPE = """
name = "sample"
[base]
rootfs = "base.tar"
[container]
network = "none"
scratch = ["/build"]
[[step]]
name = "compile"
run = '''
head -c 4000000 /dev/zero > /build/object
head -c 1000000 /dev/zero > /opt/program
echo ready
until [ -e /build/go-on ]; do sleep 0.1; done
rm /build/*
'''
[[image]]
name = "sample"
budget = { peak = "50MB" }
"""


@pytest.mark.engine
def test_a_neighbour_s_500_mb_are_neither_in_the_peak_nor_in_the_budget(engine: Engine, tmp_path: Path) -> None:
    imgasm = Imgasm(tmp_path)
    (tmp_path / "base.tar").write_bytes(busybox())
    (tmp_path / "sample.toml").write_text(RECIPE)
    assert engine.disk is not None
    neighbour = engine.disk / "neighbour"
    command = [sys.executable, "-m", "assembler", "build", "sample.toml", "-v", "--json", "--engine", engine.name]
    with subprocess.Popen(command, cwd=tmp_path, env={**os.environ, "HOME": str(tmp_path)}, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE) as build:  # fmt: skip
        assert build.stdout is not None and build.stderr is not None
        try:
            next(line for line in build.stderr if "ready" in line)
            with neighbour.open("wb") as file:
                os.posix_fallocate(file.fileno(), 0, 500_000_000)
            for then in (["sleep", "1"], ["touch", "/build/go-on"]):
                subprocess.run([*engine.command("container", "exec", container(engine)), *then], check=True)
            build.stderr.read()
            record = json.loads(build.stdout.read())
        finally:
            neighbour.unlink(missing_ok=True)
            build.kill()
    (step,) = record["steps"]
    assert step["peak"] == 5_000_000
    assert (step["layer"], step["transient"], step["scratch"]) == (1_000_000, 4_000_000, 0)
    assert record["broken"] == []

    inflated = tmp_path / "build/sample/imgasm.json"
    former = json.loads(inflated.read_text())
    former["steps"][0]["peak"] = 10**15
    inflated.write_text(json.dumps(former))
    fresh = (tmp_path / "sample.toml").read_text().replace("until [ -e /build/go-on ]", "until true")
    (tmp_path / "sample.toml").write_text(fresh)
    assert "the build may need 1.00 PB" in imgasm("build", "sample.toml", "--engine", engine.name).stderr


def container(engine: Engine) -> str:
    command = [*engine.command("container"), "ls", "--quiet", "--filter", "label=io.imgasm.build"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()[0]
