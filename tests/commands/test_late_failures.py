"""What goes wrong when the images are written is a warning: nothing of the build is lost."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.commands.test_build import Cli, leftovers
from tests.support.engine_line import engine_line

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.engine

REFUSING = """#!/bin/sh
case "$*" in
    *"container {verb}"*) echo "Error response from daemon: device or resource busy" >&2; exit 1;;
esac
exec {docker} "$@"
"""


class Refused(Cli):
    """Docker's own client, but for one thing that it refuses."""

    def __init__(self, directory: Path, verb: str) -> None:
        super().__init__(directory)
        program = directory / "bin/docker"
        program.parent.mkdir()
        program.write_text(REFUSING.format(verb=verb, docker=shutil.which("docker")))
        program.chmod(0o755)
        self.environment["PATH"] = f"{program.parent}:{os.environ['PATH']}"


@pytest.fixture
def clean(tmp_path: Path) -> Iterator[None]:
    yield
    Cli(tmp_path)("clean", "--engine", "docker")
    assert not leftovers()


def test_a_container_that_can_not_be_removed_costs_no_build(tmp_path: Path, clean: None) -> None:
    """Neither the container that the steps ran in nor the one that the base is exported from."""
    cli = Refused(tmp_path, "rm")
    recipe = cli.recipe()
    for way, containers in (("overlay", 1), ("export", 2)):
        done = cli("build", recipe, "--engine", "docker", "--capture", way, "--output", way, "--json")
        assert done.stderr.count("could not remove the container imgasm-") == containers
        assert "imgasm clean removes what stays" in done.stderr and f"the image is in {way}" in done.stderr
        assert json.loads((tmp_path / way / "imgasm.json").read_text()) == json.loads(done.stdout)
        assert f"using the last build in this directory: {way}" in cli("verify").stderr


def test_a_container_that_can_not_go_on_costs_no_build(tmp_path: Path) -> None:
    cli = Refused(tmp_path, "unpause")
    done = cli("build", cli.recipe(), "--engine", "docker")
    assert "warning: docker could not let the container go on" in done.stderr
    assert "the image is in build/sample" in done.stderr
    assert not leftovers()


def test_a_report_that_can_not_be_written_is_refused_before_the_first_step(tmp_path: Path) -> None:
    cli = Cli(tmp_path)
    for option in ("--html", "--svg", "--junit"):
        refused = cli("build", cli.recipe(), "--engine", "docker", option, "missing/report", status=11)
        assert "missing/report: No such file or directory" in refused.stderr
        assert not (tmp_path / "build/sample").exists()


def test_an_engine_that_goes_away_is_an_engines_error_and_no_steps(tmp_path: Path, clean: None) -> None:
    cli = Cli(tmp_path)
    with engine_line(tmp_path) as line:
        recipe = cli.recipe(more='[[step]]\nname = "long"\nrun = "echo here; sleep 100"')
        command = cli.command("build", recipe, "--engine", "docker", "--verbose")
        build = subprocess.Popen(command, cwd=tmp_path, env={**cli.environment, "DOCKER_HOST": line.host},
                                 stderr=subprocess.PIPE, text=True)  # fmt: skip
        assert build.stderr is not None
        while "| here" not in (told := build.stderr.readline()):
            assert told, "the step began"
        line.cut()
    _, told = build.communicate()
    assert build.returncode == 5, told
    assert "error: the container or docker itself went away during step" in told
