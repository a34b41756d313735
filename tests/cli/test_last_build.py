"""The last build belongs to a directory; what is taken is named first, and after a failure nothing is taken."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from tests.support.forked import Forked

RECIPE = """
name = "{name}"
[base]
rootfs = "rootfs.tar"
[[file]]
path = "/etc/motd"
content = "hello"
[[image]]
name = "{name}"
"""
"""Without steps: no engine is needed."""

TAKING = ("push", "load", "verify", "size-report")


class Directory:
    """A working directory; the home is the same for all of a test's."""

    def __init__(self, path: Path, home: Path) -> None:
        path.mkdir()
        self.path = path
        self.environment = {**os.environ, "HOME": str(home)}
        for name in ("XDG_CACHE_HOME", "XDG_STATE_HOME", "IMGASM_CACHE"):
            self.environment.pop(name, None)
        with tarfile.open(path / "rootfs.tar", "w") as tar:
            directory = tarfile.TarInfo("etc")
            directory.type = tarfile.DIRTYPE
            tar.addfile(directory)

    def recipe(self, name: str) -> str:
        (self.path / f"{name}.toml").write_text(RECIPE.format(name=name))
        return f"{name}.toml"

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "assembler", *arguments]

    def __call__(self, *arguments: str, status: int = 0) -> subprocess.CompletedProcess[str]:
        return Forked(self.path, HOME=self.environment["HOME"])(*arguments, status=status)


@pytest.fixture
def here(tmp_path: Path) -> Directory:
    return Directory(tmp_path / "here", tmp_path)


def test_an_empty_directory_has_no_last_build_whatever_was_built_elsewhere(here: Directory, tmp_path: Path) -> None:
    here("build", here.recipe("sample"))
    elsewhere = Directory(tmp_path / "elsewhere", tmp_path)
    for command in TAKING:
        refused = elsewhere(command, status=2)
        assert "No build has been made in this directory" in refused.stderr and not refused.stdout


def test_what_is_taken_is_named_first(here: Directory) -> None:
    here("build", here.recipe("one"))
    here("build", here.recipe("two"), "--output", "out/two")
    for command in ("verify", "size-report"):
        told = here(command).stderr
        assert told.startswith("using the last build in this directory: out/two (of two.toml)\n")
    # It has no reference in a registry; the first line says which build that is about.
    assert here("push", status=2).stderr.startswith("using the last build in this directory: out/two")


def test_after_a_failed_build_nothing_is_taken(here: Directory) -> None:
    here("build", here.recipe("sample"))
    (here.path / "rootfs.tar").write_bytes(b"no tar" * 1000)
    here("build", "sample.toml", status=8)
    for command in TAKING:
        refused = here(command, status=2)
        assert "of sample.toml, did not succeed, so there is nothing to use" in refused.stderr and not refused.stdout
    here("verify", "build/sample")  # a name is as good as ever


def test_after_a_recipe_with_a_mistake_nothing_is_taken(here: Directory) -> None:
    here("build", here.recipe("sample"))
    (here.path / "sample.toml").write_text("name = 1")
    here("build", "sample.toml", status=3)
    assert "did not succeed" in here("verify", status=2).stderr


def test_after_a_killed_build_nothing_is_taken(here: Directory) -> None:
    here("build", here.recipe("sample"))
    os.mkfifo(here.path / "endless.tar")
    (here.path / "sample.toml").write_text(RECIPE.format(name="sample").replace("rootfs.tar", "endless.tar"))
    build = subprocess.Popen(here.command("build", "sample.toml"), cwd=here.path, env=here.environment)
    with (here.path / "endless.tar").open("wb"):  # which succeeds when the build has come to read it
        build.send_signal(signal.SIGKILL)
        build.wait()
    assert "did not succeed" in here("push", status=2).stderr


def test_of_two_builds_at_once_the_one_that_began_last_counts(here: Directory) -> None:
    os.mkfifo(here.path / "slow.toml")
    slow = subprocess.Popen(here.command("build", "slow.toml"), cwd=here.path, env=here.environment)
    with (here.path / "slow.toml").open("w") as recipe:  # which succeeds when the build has begun, and reads
        here("build", here.recipe("quick"))
        recipe.write(RECIPE.format(name="slow"))
    assert slow.wait() == 0
    assert "build/quick" in here("verify").stderr


def test_a_build_that_is_gone_is_not_replaced_by_an_older_one(here: Directory) -> None:
    here("build", here.recipe("one"))
    here("build", here.recipe("two"))
    (here.path / "build/two").rename(here.path / "moved")
    assert "build/two, is gone" in here("verify", status=2).stderr


def test_a_directory_that_can_not_be_written_costs_the_note_and_not_the_build(here: Directory, tmp_path: Path) -> None:
    (here.path / "build").write_text("a file")
    built = here("build", here.recipe("sample"), "--output", str(tmp_path / "out"))
    assert "warning: this build can't be noted as the last one in this directory" in built.stderr
    here("verify", str(tmp_path / "out"))
    assert "No build has been made" in here("push", status=2).stderr
