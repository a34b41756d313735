"""[[file]] with a directory, an owner and a mode: in containers of both engines, and in a build that makes none."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.support import engines

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

RECIPE = """
name = "sample"
source_date_epoch = 0

[base]
rootfs = "base.tar"

[container]
network = "none"

[[file]]
path = "/opt/app"
from = "app"
owner = "ann"

[[file]]
path = "/"
from = "over"

[[file]]
path = "/opt/modes"
from = "app"
mode = "2750"
owner = "7:root"

[[file]]
path = "/opt/secret"
content = "x"
mode = "4711"
owner = "ann:ann"
{steps}
[[image]]
name = "sample"
compression = "none"
"""
STEP = """
[[step]]
name = "look"
run = "ls -ld /tmp /bin"
"""
EXPECTED = sorted("""\
drwxr-xr-x 1000/1000 opt/app/
drwxr-xr-x 1000/1000 opt/app/empty/
drwxr-xr-x 1000/1000 opt/app/sub/
drwxr-xr-x 7/0 opt/modes/
drwxr-xr-x 7/0 opt/modes/empty/
drwxr-xr-x 7/0 opt/modes/sub/
drwxrwxrwt 0/0 tmp/
-rw-r--r-- 0/0 tmp/note
-rw-r--r-- 1000/1000 opt/app/sub/data
-rwxr-xr-x 0/0 usr/bin/tool
-rwxr-xr-x 1000/1000 opt/app/run
-rwxr-s--- 7/0 opt/modes/run
-rwxr-s--- 7/0 opt/modes/sub/data
-rws--x--x 1000/1000 opt/secret
lrwxrwxrwx 1000/1000 opt/app/link -> sub/data
lrwxrwxrwx 7/0 opt/modes/link -> sub/data
""".splitlines())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The base has /tmp with its sticky bit, /bin as a link to usr/bin, and a user ann with number 1000."""
    base = engines.busybox_rootfs(extra={"etc/group": b"root:x:0:\nann:x:1000:\n"})
    (tmp_path / "base.tar").write_bytes(base.getvalue())
    for name in ("app/empty", "app/sub", "over/tmp", "over/bin"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "app/run").write_text("#!/bin/sh\n")
    (tmp_path / "app/run").chmod(0o700)
    (tmp_path / "app/sub/data").write_bytes(os.urandom(100_000))
    (tmp_path / "app/sub/data").chmod(0o600)
    (tmp_path / "app/link").symlink_to("sub/data")
    (tmp_path / "over/tmp/note").write_text("")
    (tmp_path / "over/bin/tool").write_text("#!/bin/sh\n")
    (tmp_path / "over/bin/tool").chmod(0o755)
    return tmp_path


@pytest.fixture(params=["docker", "podman", "host"])
def engine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with engines.running(request.param, tmp_path_factory.mktemp("engine")) as name:
        yield name


def build(folder: Path, steps: str, *arguments: str) -> list[str]:
    """Builds, and returns the layer as GNU tar lists it: mode, owner and name, sorted."""
    (folder / "sample.toml").write_text(RECIPE.format(steps=steps))
    command = [sys.executable, "-m", "assembler", "build", "sample.toml", "--json", *arguments]
    environment = {**os.environ, "HOME": str(folder), "IMGASM_CACHE": str(folder / "cache")}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    digest = json.loads(done.stdout)["images"][0]["layer"]["digest"].removeprefix("sha256:")
    listing = subprocess.run(["tar", "-tvf", folder / "build/sample/blobs/sha256" / digest, "--numeric-owner"],
                             capture_output=True, text=True, check=True).stdout
    lines = [line.split(maxsplit=5) for line in listing.splitlines()]
    return sorted(f"{mode} {owner} {name}" for mode, owner, _, _, _, name in lines)


@pytest.mark.engine
def test_a_directory_is_copied_with_owner_and_mode_and_leaves_what_is_there(folder: Path, engine: str) -> None:
    assert build(folder, STEP, "--engine", engine, "--prove") == EXPECTED


def test_without_a_container_the_layer_is_the_same(folder: Path) -> None:
    assert build(folder, "", "--prove") == EXPECTED


@pytest.mark.engine
@pytest.mark.parametrize("steps", ["", STEP])
def test_an_owner_that_the_base_does_not_have_is_told(folder: Path, steps: str) -> None:
    (folder / "sample.toml").write_text(RECIPE.format(steps=steps).replace("ann:ann", "ann:nobody"))
    environment = {**os.environ, "HOME": str(folder), "IMGASM_CACHE": str(folder / "cache")}
    done = subprocess.run([sys.executable, "-m", "assembler", "build", "sample.toml"], cwd=folder, env=environment,
                          capture_output=True, text=True, check=False)
    assert done.returncode == 3
    assert "a [[file]] belongs to the group 'nobody', which the base does not have" in done.stderr
    assert "give the owner by number" in done.stderr
