"""A build that starts from a checkpoint gives, to the last byte, what one gives that does every step."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import time
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import pytest

from tests.commands.test_build import Cli
from tests.support import engines
from tests.support.debian_registry import debian_registry

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.engine, pytest.mark.root]

RECIPE = r"""
name = "sample"

[base]
rootfs = "base.tar"

[container]
scratch = ["/scratch"]
network = "none"

[[file]]
path = "/opt/app/motd"
content = "hello"

[[step]]
name = "compile"
checkpoint = true
run = '''
mkdir -p /opt/app/deep/er /opt/replaced
echo word > /opt/app/word; ln /opt/app/word /opt/app/again; ln -s word /opt/app/link
head -c 300000 /dev/urandom > /scratch/object; cp /scratch/object /opt/app/deep/er/object
mkfifo /opt/app/pipe; touch -d @1600000000 /opt/app/old; chmod 4750 /opt/app/old; chown 1000:1000 /opt/app/old
printf 'a\nb' > "/opt/app/a
b"
rm -r /opt/old; echo file > /opt/old
rm -r /opt/tree; mkdir /opt/tree; echo new > /opt/tree/new
rm /opt/file; mkdir /opt/file; echo in > /opt/file/in
rm /usr/bin/yes; mv /opt/moved /opt/app/moved; touch /opt/touched
chmod 700 /opt/mode
'''

[[step]]
name = "pack"
run = '''
cp /scratch/object /opt/app/packed; rm -r /opt/app/deep; echo more >> /opt/app/again; rm /opt/app/motd
'''

[[image]]
name = "sample"
reference = "127.0.0.1:1/sample:1"

[[image]]
name = "alone"
onto = "scratch"
keep = ["/opt/**"]
"""
BASE = {"opt/tree/a": b"a", "opt/tree/b": b"b", "opt/file": b"file", "opt/moved": b"moved", "opt/touched": b"t",
        "opt/mode/x": b"x"}  # fmt: skip


@pytest.fixture(params=["docker", "podman"])
def engine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with engines.docker() if request.param == "docker" else engines.podman(tmp_path_factory.mktemp("podman")):
        yield request.param


@pytest.fixture
def cli(tmp_path: Path, engine: str) -> Cli:
    return prepared(tmp_path, engine)


@pytest.fixture
def docker_cli(tmp_path: Path) -> Cli:
    """Where which engine it is makes no difference."""
    directory = tmp_path / "here"
    directory.mkdir()
    return prepared(directory, "docker")


def prepared(directory: Path, engine: str) -> Cli:
    cli = Cli(directory)
    cli.environment["IMGASM_ENGINE"] = engine
    (directory / "base.tar").write_bytes(engines.busybox_rootfs(BASE).getvalue())
    (directory / "sample.toml").write_text(RECIPE)
    return cli


def edit(cli: Cli, was: str, now: str) -> None:
    recipe = cli.directory / "sample.toml"
    text = recipe.read_text()
    assert was in text
    recipe.write_text(text.replace(was, now))


def record(cli: Cli, output: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((cli.directory / output / "imgasm.json").read_text())
    return found


def digests(cli: Cli, output: str) -> list[str]:
    return [image["manifest"] for image in record(cli, output)["images"]]


def stored(cli: Cli) -> list[Path]:
    return sorted((cli.directory / ".cache/imgasm/checkpoints").glob("*/checkpoint.json"))


@pytest.mark.parametrize("way", ["overlay", "export"])
def test_it_gives_the_same_to_the_last_byte(cli: Cli, way: str) -> None:
    edit(cli, "head -c 300000 /dev/urandom", "yes no | head -c 300000")
    told = cli("build", "sample.toml", "--capture", way, "--output", "whole").stderr
    assert "checkpoint after step compile: " in told
    for output, options in (("again", ()), ("fresh", ("--no-cache",))):
        told = cli("build", "sample.toml", "--capture", way, "--output", output, *options).stderr
        assert ("starting from the checkpoint after step compile" in told) == (output == "again")
        assert ("[1/2] compile" in told) == (output == "fresh") and "[2/2] pack" in told
    assert digests(cli, "whole") == digests(cli, "again") == digests(cli, "fresh")
    whole, again = record(cli, "whole"), record(cli, "again")
    assert [image["steps"] for image in again["images"]] == [image["steps"] for image in whole["images"]]
    assert again["discarded"] == whole["discarded"]
    assert [step["name"] for step in again["steps"]] == ["compile", "pack"]
    assert [step["scratch"] for step in again["steps"]] == [step["scratch"] for step in whole["steps"]]


def test_what_it_came_from_counts_and_is_named(docker_cli: Cli) -> None:
    docker_cli("build", "sample.toml")
    edit(docker_cli, "cp /scratch/object /opt/app/packed;", "cp /scratch/object /opt/app/packed2;")
    told = docker_cli("build", "sample.toml").stderr
    assert "building again: run of step pack changed" in told and "starting from the checkpoint after" in told
    edit(docker_cli, "echo word >", "echo words >")
    assert "no checkpoint fits: run of step compile changed" in docker_cli("build", "sample.toml").stderr
    edit(docker_cli, 'content = "hello"', 'content = "other"')
    assert "no checkpoint fits: [[file]] /opt/app/motd changed" in docker_cli("build", "sample.toml").stderr
    assert len(stored(docker_cli)) == 3
    told = docker_cli("cache", "sample.toml").stdout.splitlines()
    assert [line.rpartition(": ")[2] for line in told[1:]] == ["[[file]] /opt/app/motd changed"] * 2
    assert " old, used " in told[0] and "sample after step compile, " in told[0] and "changed" not in told[0]
    assert "starting from" not in docker_cli("build", "sample.toml", "--refresh").stderr
    edit(docker_cli, "checkpoint = true", 'checkpoint = true\nmax_age = 0.1')
    told = docker_cli("build", "sample.toml").stderr
    assert "building again: step compile is older than its max_age" in told
    assert "step compile runs again: it is older than its max_age" in told and "[1/2]" in told
    assert len(docker_cli("cache").stdout.splitlines()) == 3
    assert len(docker_cli("cache", "--prune", "--max-size", "0").stdout.splitlines()) == 3
    assert docker_cli("cache").stdout == "no checkpoint\n" and not stored(docker_cli)


def test_another_engine_starts_from_it(cli: Cli, engine: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    if engine == "podman":
        return  # from docker to podman is enough
    cli("build", "sample.toml", "--output", "docker")
    with engines.podman(tmp_path_factory.mktemp("other")):
        import os

        settings = {name: os.environ[name] for name in ("CONTAINERS_CONF", "CONTAINERS_STORAGE_CONF")}
        cli.environment |= {"IMGASM_ENGINE": "podman", **settings}
        assert "starting from the checkpoint" in cli("build", "sample.toml", "--output", "podman").stderr
    cli.environment["IMGASM_ENGINE"] = "host"
    assert "starting from the checkpoint" in cli("build", "sample.toml", "--output", "host").stderr
    assert digests(cli, "docker") == digests(cli, "podman") == digests(cli, "host")


def test_a_step_that_cost_little_keeps_nothing_unless_it_shall(docker_cli: Cli) -> None:
    edit(docker_cli, "checkpoint = true\n", "")
    assert "checkpoint" not in docker_cli("build", "sample.toml").stderr
    edit(docker_cli, 'name = "compile"', 'name = "compile"\ncheckpoint = false')
    edit(docker_cli, "chmod 700 /opt/mode", "chmod 700 /opt/mode; sleep 11")
    assert "checkpoint" not in docker_cli("build", "sample.toml").stderr
    edit(docker_cli, "checkpoint = false\n", "")
    assert "checkpoint after step compile" in docker_cli("build", "sample.toml", "--no-cache").stderr


def test_a_build_that_is_killed_at_any_moment_leaves_nothing_torn(cli: Cli, engine: str) -> None:
    """A few of the moments that ``scripts/chaos checkpoints`` tries 200 of."""
    edit(cli, "head -c 300000 /dev/urandom", "yes no | head -c 300000")
    edit(cli, "cp /scratch/object /opt/app/packed;", "cp /scratch/object /opt/app/packed; sleep 0.2;")
    cli("build", "sample.toml", "--no-cache", "--output", "whole")
    for number in range(4):
        cli("cache", "--prune", "--max-size", "0")
        command = cli.command("build", "sample.toml", "--output", f"killed{number}")
        with subprocess.Popen(command, cwd=cli.directory, env=cli.environment, stderr=subprocess.PIPE,
                              text=True) as build:
            assert build.stderr is not None
            for line in build.stderr:
                if "[1/2] compile: " in line:
                    break
            time.sleep(0.15 * number)
            build.send_signal(signal.SIGKILL)
        cli("build", "sample.toml", "--output", f"next{number}")
        assert digests(cli, f"next{number}") == digests(cli, "whole")
        cli("clean")
    folder = cli.directory / ".cache/imgasm/checkpoints"
    assert [path.name for path in folder.iterdir() if len(path.name) != 64] == []
    assert len(stored(cli)) == 1
    left = subprocess.run([engine, "ps", "--all", "--quiet", "--filter", "label=io.imgasm.build"], check=True,
                          capture_output=True).stdout
    assert left == b""


def test_an_interrupted_build_leaves_its_checkpoint(cli: Cli, engine: str) -> None:
    """Until then the sign of life of a step tells its time and what is on disk."""
    edit(cli, "cp /scratch/object /opt/app/packed;", "sleep 600;")
    command = ["env", "--default-signal=INT", *cli.command("build", "sample.toml")]
    with subprocess.Popen(command, cwd=cli.directory, env=cli.environment, stderr=subprocess.PIPE, text=True) as build:
        assert build.stderr is not None
        for line in build.stderr:
            if re.fullmatch(r"\[2/2\] pack: [0-9]+ s, [6-9][0-9]{2} kB on disk\n", line):
                break
        build.send_signal(signal.SIGINT)
        told = build.communicate()[1]
    assert build.returncode == 130, told
    edit(cli, "sleep 600;", "cp /scratch/object /opt/app/packed;")
    told = cli("build", "sample.toml").stderr
    assert "starting from the checkpoint after step compile" in told and "[1/2]" not in told


@pytest.mark.parametrize("where", ["directory", "registry"])
def test_another_machine_starts_from_it(docker_cli: Cli, tmp_path: Path, where: str) -> None:
    with debian_registry(tmp_path / "registry") if where == "registry" else nullcontext() as registry:
        place = f"{registry.host}/team/cache" if registry else str(tmp_path / "shared")
        docker_cli("build", "sample.toml", "--cache-from", place, "--cache-to", place, "--output", "here")
        other = machine(docker_cli, tmp_path / "other")
        told = other("build", "sample.toml", "--cache-from", place, "--cache-to", place, "--output", "there").stderr
        assert re.search(rf"^checkpoint of [0-9]+ kB from {place}$", told, re.MULTILINE), told
        assert "starting from the checkpoint after step compile" in told and "[1/2]" not in told
        assert f" is in {place}" not in told, "it has it already"
        assert digests(docker_cli, "here") == digests(other, "there") and len(stored(other)) == 1


def test_what_another_machine_gives_is_checked(docker_cli: Cli, tmp_path: Path) -> None:
    place = tmp_path / "shared"
    docker_cli("build", "sample.toml", "--cache-to", str(place), "--output", "here")
    damaged = max((place / "blobs/sha256").iterdir(), key=lambda path: path.stat().st_size)
    data = bytearray(damaged.read_bytes())
    data[len(data) // 2] ^= 1
    damaged.write_bytes(data)
    other = machine(docker_cli, tmp_path / "other")
    told = other("build", "sample.toml", "--cache-from", str(place), "--output", "there").stderr
    assert f"no checkpoint from {place}: " in told and "[1/2] compile: " in told
    nowhere = other("build", "sample.toml", "--cache-to", "127.0.0.1:1/cache:tag", status=2).stderr
    assert "can't hold checkpoints" in nowhere

    index = json.loads((place / "index.json").read_text())
    index["manifests"][0]["annotations"]["org.opencontainers.image.ref.name"] = "0" * 64
    (place / "index.json").write_text(json.dumps(index))
    third = machine(docker_cli, tmp_path / "third")
    told = third("build", "sample.toml", "--cache-from", str(place), "--output", "there").stderr
    assert "checkpoint from" not in told and "[1/2] compile: " in told, "that one is called otherwise"


def machine(cli: Cli, directory: Path) -> Cli:
    """Another one that has the same recipe and engine, and nothing in its cache."""
    directory.mkdir()
    for name in ("sample.toml", "base.tar"):
        shutil.copy(cli.directory / name, directory)
    other = Cli(directory)
    other.environment["IMGASM_ENGINE"] = cli.environment["IMGASM_ENGINE"]
    return other
