"""Builds that start together with a cold cache, and builds that are killed while they make a base."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from assembler.image.layout import Layout
from assembler.image.layout_cache import LayoutCache
from assembler.locks import exclusive
from assembler.progress import SilentProgress
from tests.commands.test_build import Cli
from tests.support.debian_mirror import debian_mirror
from tests.support.engines import busybox_rootfs

RECIPE = """
name = "{name}"
[base]
bootstrap = {{ suite = "bookworm", packages = ["tiny"], variant = "extract", mirror = "{mirror}" }}
[[image]]
name = "{name}"
compression = "{codec}"
"""

MMDEBSTRAP = """#!/bin/sh
echo "$$" >>{log}
if [ -e {stop} ]; then
    trap : TERM
    {program} --setup-hook='touch {stopped}; while [ -e {stop} ]; do sleep 0.1; done' "$@"
    status=$?
    touch {tidied}
    exit $status
fi
exec {program} "$@"
"""


class Builder:
    """imgasm with a cache of its own and an mmdebstrap that writes down each run, and stops where it is told to."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.log, self.stop, self.stopped, self.tidied = (
            directory / name for name in ("log", "stop", "stopped", "tidied"))  # fmt: skip
        (directory / "mirror").mkdir()
        self.mirror = debian_mirror(directory / "mirror", "tiny", {"opt/tiny": b"contents\n"})
        program = directory / "bin/mmdebstrap"
        program.parent.mkdir()
        program.write_text(MMDEBSTRAP.format(program=shutil.which("mmdebstrap"), log=self.log, stop=self.stop,
                                             stopped=self.stopped, tidied=self.tidied))
        program.chmod(0o755)
        self.environment = {**os.environ, "HOME": str(directory), "IMGASM_CACHE": str(directory / "cache"),
                            "PATH": f"{program.parent}:{os.environ['PATH']}"}

    def start(self, name: str, *options: str, codec: str = "zstd") -> subprocess.Popen[str]:
        recipe = self.directory / f"{name}.toml"
        recipe.write_text(RECIPE.format(name=name, codec=codec, mirror=self.mirror))
        # Whoever runs the tests in the background may have made them ignore Ctrl-C, and processes inherit that.
        command = ["env", "--default-signal=INT,TERM", sys.executable, "-m", "assembler", "build",
                   recipe.name, "--json", *options]
        return subprocess.Popen(command, cwd=self.directory, env=self.environment, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, text=True)

    def runs(self) -> list[int]:
        return [int(line) for line in self.log.read_text().split()]

    @property
    def bases(self) -> Path:
        return self.directory / "cache/bases"

    def left(self) -> list[str]:
        """What is in the cache besides bases and the locks of the folder."""
        return sorted(path.name for path in self.bases.iterdir()
                      if not path.name.startswith("bootstrap-") and path.name not in ("work-lock", "loading"))


@pytest.fixture
def builder(tmp_path: Path) -> Builder:
    return Builder(tmp_path)


def wait_for(path: Path, build: subprocess.Popen[str]) -> None:
    while not path.exists():
        assert build.poll() is None, build.communicate()[1]
        time.sleep(0.05)


def test_six_builds_with_a_cold_cache_make_one_base_and_its_other_form_once(builder: Builder) -> None:
    builder.stop.touch()
    builds = [builder.start(f"build{number}", codec=("zstd", "gzip")[number % 2]) for number in range(6)]
    assert sorted(map(_makes, builds)) == [False] * 5 + [True], "five say that they wait"
    builder.stop.unlink()
    done = [(*build.communicate(), build.returncode) for build in builds]
    assert [status for _, _, status in done] == [0] * 6, done
    assert len(builder.runs()) == 1
    bases = [json.loads(report)["images"][0]["base"][0]["digest"] for report, _, _ in done]
    assert len(set(bases)) == 2, "one in each compression"
    assert builder.left() == []
    for number in range(6):
        layout = Layout.open(builder.directory / f"build/build{number}")
        assert set(layout.blobs()) and layout.remove_unreferenced() == 0
    [base] = builder.bases.glob("bootstrap-*")
    assert Layout.open(base).remove_unreferenced() == 0


def test_a_refresh_beside_a_build_that_reads_the_base(builder: Builder) -> None:
    first = builder.start("first")
    assert first.communicate()[1] and first.returncode == 0
    [key] = [path.name for path in builder.bases.glob("bootstrap-*")]

    def never(layout: Layout) -> None:
        raise AssertionError

    with LayoutCache(builder.bases, SilentProgress()) as cache:
        layout, image = cache.get(key, "the base", never, refresh=False)  # type: ignore[arg-type]
        debian_mirror(builder.directory / "mirror", "tiny", {"opt/tiny": b"other contents\n"})
        second = builder.start("second", "--refresh")
        assert second.communicate()[1] and second.returncode == 0
        assert len(builder.runs()) == 2
        assert all(layout.has(blob) for blob, _ in image.layers)
    assert not any(layout.has(blob) for blob, _ in image.layers)


def test_a_maker_that_is_killed_leaves_nothing_that_the_next_one_trips_over(builder: Builder) -> None:
    builder.stop.touch()
    builds = [builder.start("one"), builder.start("two")]
    makes = list(map(_makes, builds))
    assert sorted(makes) == [False, True]
    maker, waiting = builds[makes.index(True)], builds[makes.index(False)]
    wait_for(builder.stopped, maker)
    assert [path.name for path in builder.bases.glob("work-*/mmdebstrap.*")], "it is at work"
    maker.send_signal(signal.SIGKILL)
    maker.communicate()
    builder.stop.unlink()
    report, told = waiting.communicate()
    assert waiting.returncode == 0, told
    assert len(json.loads(report)["images"]) == 1 and len(builder.runs()) == 2
    assert builder.left() == []
    assert str(builder.bases) not in Path("/proc/self/mountinfo").read_text()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_maker_lets_mmdebstrap_end_and_leaves_nothing(builder: Builder, number: signal.Signals) -> None:
    builder.stop.touch()
    build = builder.start("interrupted")
    wait_for(builder.stopped, build)
    build.send_signal(number)
    build.communicate()
    assert build.returncode == 128 + number
    assert builder.tidied.exists(), "mmdebstrap was not killed"
    assert builder.left() == []


@pytest.mark.engine
def test_one_build_loads_the_base_into_the_engine_and_the_others_wait(tmp_path: Path) -> None:
    cli = Cli(tmp_path)
    recipe = cli.recipe()
    # A base of its own: the engine has those that other tests loaded, and nothing waits for what is there.
    (tmp_path / "base.tar").write_bytes(busybox_rootfs({"etc/own": os.fsencode(tmp_path)}).getvalue())
    command = cli.command("build", recipe, "--engine", "docker", "--json")
    loading = tmp_path / ".cache/imgasm/bases/loading"
    loading.parent.mkdir(parents=True)
    with exclusive(loading):
        build = subprocess.Popen(command, cwd=tmp_path, env=cli.environment, stdout=subprocess.PIPE,
                                 stderr=subprocess.PIPE, text=True)
        assert build.stderr is not None
        for line in build.stderr:
            if line == f"another build is loading the base {tmp_path}/base.tar into the engine; waiting for it\n":
                break
        else:
            pytest.fail("it did not wait")
    _, told = build.communicate()
    assert build.returncode == 0, told


def _makes(build: subprocess.Popen[str]) -> bool:
    """Whether this build is the one that makes the base: it says so first, the other that it waits."""
    assert build.stderr is not None
    for line in build.stderr:
        if "making a bookworm base with mmdebstrap" in line:
            return True
        if "another build is making the bookworm base; waiting for it" in line:
            return False
    pytest.fail("it said neither")
