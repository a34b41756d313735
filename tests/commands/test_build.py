"""Whole builds on real engines, and what users do with them."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from assembler.changeset.capture import changeset
from assembler.changeset.path_rules import Patterns
from assembler.commands.capture_container import ContainerReader
from assembler.commands.compressor_versions import LIBRARIES
from assembler.engine.step import Command
from assembler.layer.compress import compressor
from assembler.layer.write_layer import write_layer
from assembler.progress import SilentProgress
from tests.support import engines
from tests.support.debian_registry import debian_registry

if TYPE_CHECKING:
    from collections.abc import Iterator

    from assembler.engine.client import Engine
    from assembler.engine.container import ContainerSpec
    from assembler.engine.session import Session
    from tests.support.debian_registry import DebianRegistry

pytestmark = pytest.mark.engine

RECIPE = """
name = "sample"

[vars]
word = "one"

[base]
rootfs = "base.tar"

[container]
scratch = ["/scratch"]
network = "none"

[[source]]
url = "input.txt"
sha256 = "{sha256}"

[[file]]
path = "/opt/app/run"
mode = "0755"
content = '''
#!/bin/sh
cat /opt/app/word
'''

[[step]]
name = "write"
run = '''
cp /imgasm/sources/input.txt /opt/app/input
echo "{{{{ word }}}}" > /opt/app/word
head -c 3000000 /dev/urandom > /opt/app/big
head -c 1000000 /dev/zero > /scratch/elsewhere
rm -r /opt/old
'''

[[step]]
name = "tidy"
run = ["rm", "/opt/app/big"]

[prune]
paths = ["/opt/app/input"]

[[image]]
name = "sample"
reference = "{registry}/sample:1"
compression = "{compression}"
cmd = ["/opt/app/run"]
{more}
"""


class Cli:
    """imgasm as a process of its own, with a home of its own."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.environment = {**os.environ, "HOME": str(directory), "SOURCE_DATE_EPOCH": "1700000000"}
        for name in ("XDG_CACHE_HOME", "XDG_STATE_HOME", "IMGASM_CACHE"):
            self.environment.pop(name, None)

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "assembler", *arguments]

    def __call__(self, *arguments: str, status: int = 0) -> subprocess.CompletedProcess[str]:
        command = self.command(*arguments)
        done = subprocess.run(
            command, cwd=self.directory, env=self.environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == status, done.stdout + done.stderr
        return done

    def recipe(self, registry: str = "127.0.0.1:1", compression: str = "gzip", more: str = "") -> str:
        import hashlib

        (self.directory / "base.tar").write_bytes(engines.busybox_rootfs().getvalue())
        (self.directory / "input.txt").write_bytes(b"input\n")
        sha256 = hashlib.sha256(b"input\n").hexdigest()
        text = RECIPE.format(sha256=sha256, registry=registry, compression=compression, more=more)
        (self.directory / "sample.toml").write_text(text)
        return "sample.toml"


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    return Cli(tmp_path)


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DebianRegistry]:
    with debian_registry(tmp_path_factory.mktemp("registry")) as registry:
        yield registry


def leftovers() -> str:
    """Containers and volumes of imgasm's in the engine."""
    containers = subprocess.run(
        ["docker", "ps", "-aq", "--filter", "label=io.imgasm.build"], capture_output=True, text=True, check=True
    )
    volumes = subprocess.run(["docker", "volume", "ls", "-q"], capture_output=True, text=True, check=True)
    return containers.stdout + volumes.stdout


def run_image(reference: str) -> str:
    """What a container of the image prints; docker pulls it if it has to."""
    command = ["docker", "run", "--rm", "--network", "none", reference]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def entries(layout: Path, manifest: str) -> list[str]:
    """The layer's members as GNU tar lists them."""
    layers = json.loads((layout / "blobs" / "sha256" / manifest.removeprefix("sha256:")).read_bytes())["layers"]
    blob = layout / "blobs" / "sha256" / layers[-1]["digest"].removeprefix("sha256:")
    return subprocess.run(["tar", "-tzf", str(blob)], capture_output=True, text=True, check=True).stdout.splitlines()


def test_build_push_pull_run(cli: Cli, registry: DebianRegistry) -> None:
    recipe = cli.recipe(registry.host)
    record = json.loads(cli("build", recipe, "--engine", "docker", "--json").stdout)
    image = record["images"][0]
    assert entries(cli.directory / "build/sample", image["manifest"]) == [
        "opt/app/", "opt/.wh.old", "opt/app/run", "opt/app/word",
    ]  # fmt: skip
    assert record["libraries"] == LIBRARIES
    steps = {step["name"]: step for step in record["steps"]}
    assert steps["write"]["added"] >= 3_000_000 and steps["tidy"]["removed"] == 3_000_000
    assert steps["write"]["scratch"] == 1_000_000
    assert record["dockerfile"]["bytes"] >= 4_000_000 > image["layer"]["uncompressed"]
    assert {rule["pattern"]: rule["files"] for rule in record["prune"]} == {"/opt/app/input": 1}

    cli("push")
    again = json.loads(cli("push", "--json").stdout)
    assert again[0]["sent"] == 0
    assert run_image(f"{registry.host}/sample:1") == "one\n"


def test_the_same_recipe_gives_the_same_digest(cli: Cli) -> None:
    recipe = cli.recipe(compression="zstd")
    first = json.loads(cli("build", recipe, "--json").stdout)
    time.sleep(1.1)  # another second, other times of new files
    second = json.loads(cli("build", recipe, "--json", "--output", "elsewhere").stdout)
    assert first["images"][0]["manifest"] == second["images"][0]["manifest"]


def test_load_puts_a_zstd_image_into_an_old_engine(cli: Cli) -> None:
    cli("build", cli.recipe(compression="zstd"), "--engine", "docker")
    assert cli("load", "--engine", "docker").stdout == "127.0.0.1:1/sample:1\n"
    assert run_image("127.0.0.1:1/sample:1") == "one\n"


def test_images_onto_scratch_and_onto_a_former_build(cli: Cli) -> None:
    cli("build", cli.recipe())
    more = """
[[image]]
name = "tiny"
onto = "scratch"
keep = ["/opt/app/word"]
compression = "gzip"

[[image]]
name = "stacked"
onto = "./build/sample"
keep = ["/opt/**"]
compression = "gzip"
"""
    record = json.loads(cli("build", cli.recipe(more=more), "--set", "word=two", "--output", "b", "--json").stdout)
    images = {image["name"]: image for image in record["images"]}
    assert entries(cli.directory / "b", images["tiny"]["manifest"]) == ["opt/", "opt/app/", "opt/app/word"]
    # What the former build has already is not written again: only the word differs.
    assert entries(cli.directory / "b", images["stacked"]["manifest"]) == ["opt/app/word"]
    assert len(images["stacked"]["base"]) == 2


def test_prove_proves_each_layer_while_the_container_is_there(cli: Cli) -> None:
    cli("build", cli.recipe())
    more = """
[[image]]
name = "stacked"
onto = "./build/sample"
keep = ["/opt/**"]
"""
    for way in ("overlay", "export"):
        done = cli("build", cli.recipe(more=more), "--set", "word=two", "--output", way, "--capture", way, "--prove")
        assert "image sample: proved, 4 entries for " in done.stderr
        assert "image stacked: proved, 1 entry for " in done.stderr
        assert re.search(r"proof can't see \d+ paths: what is mounted in the container \(/dev, /etc/host", done.stderr)
        unseen = "image sample: the proof can't see extended attributes but file capabilities"
        assert (unseen in done.stderr) == (way == "export")


def test_a_failed_step_shows_its_last_lines_and_leaves_nothing(cli: Cli) -> None:
    recipe = cli.recipe()
    text = (cli.directory / recipe).read_text().replace('["rm", "/opt/app/big"]', '"echo last words; exit 3"')
    (cli.directory / recipe).write_text(text)
    failed = cli("build", recipe, "--engine", "docker", status=6)
    assert "last words" in failed.stderr and "step 'tidy' ended with status 3" in failed.stderr
    assert not leftovers()
    assert not (cli.directory / "build/sample/imgasm.json").exists()


def test_a_broken_budget_fails_after_the_report_is_written(cli: Cli) -> None:
    failed = cli("build", cli.recipe(more='max_size = "100B"'), status=10)
    assert "sample: the layer" in failed.stderr
    assert "/opt/app/run" in cli("size-report", "build/sample", status=10).stdout
    assert "sample: the layer" in cli("push", "build/sample", status=10).stderr


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signals_remove_the_container(cli: Cli, number: signal.Signals, status: int) -> None:
    recipe = cli.recipe()
    text = (cli.directory / recipe).read_text().replace('["rm", "/opt/app/big"]', '"echo waiting; sleep 600"')
    (cli.directory / recipe).write_text(text)
    build = subprocess.Popen(
        # Whoever runs the tests in the background may have made them ignore Ctrl-C, and processes inherit that.
        ["env", "--default-signal=INT,TERM", *cli.command("build", recipe, "-v", "--engine", "docker")],
        cwd=cli.directory, env=cli.environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert build.stderr is not None
    for line in build.stderr:
        if "waiting" in line:
            break
    build.send_signal(number)
    with build.stderr:
        build.stderr.read()
    assert build.wait() == status
    assert not leftovers()


EDITS = """
mkdir -p /opt/new/deep /lib/modules/6.1/extra
echo module > /lib/modules/6.1/extra/a.ko
echo text > /opt/new/deep/file; ln /opt/new/deep/file /opt/new/link; ln -s deep/file /opt/new/symlink
mkfifo /opt/new/fifo; mknod /opt/new/null c 1 3
rm -r /opt/old; mkdir /opt/old; echo other > /opt/old/other
chmod 700 /etc; chmod 600 /etc/passwd; chmod 644 /etc/passwd
touch -d '1960-01-01 00:00:00' /opt/new/old; echo t > /tmp/t; chown 1000:1000 /tmp/t
printf x > "/opt/new/$(printf 'a\\nb')"
rm /usr/bin/vi; ln -s busybox /usr/bin/vi
"""


@pytest.fixture
def edited(engine: Engine, spec: ContainerSpec) -> Iterator[Session]:
    """podman 5 gives no MKNOD by itself."""
    container = replace(spec.container, cap_add=("MKNOD",))
    with engine.session(replace(spec, container=container)) as session:
        session.run(Command("edits", ["/bin/sh", "-e", "-c", EDITS], {}))
        yield session


def test_both_ways_of_reading_give_the_same_layer(edited: Session, base: str, tmp_path: Path) -> None:
    reader = ContainerReader(edited, base, (), tmp_path, SilentProgress())
    digests = {}
    for way in ("overlay", "export"):
        with edited.paused(), reader.capture(way) as capture:
            assert capture.way == way
            changes = changeset(capture, None, Patterns()).changeset
            with (tmp_path / way).open("wb") as sink:
                digests[way] = write_layer(changes.entries, sink, compressor("none")).diff_id
    lists = [subprocess.run(["tar", "-tvf", str(tmp_path / way)], capture_output=True, text=True, check=True).stdout
             for way in digests]  # fmt: skip
    assert lists[0] == lists[1]
    assert digests["overlay"] == digests["export"]
    assert "opt/old/.wh.file" in lists[0] and "dockerenv" not in lists[0] and "etc/passwd" not in lists[0]


TINY = """
[[image]]
name = "tiny"
onto = "scratch"
keep = ["/opt/app/word"]
"""


def test_what_is_not_in_an_image_does_not_change_it(cli: Cli) -> None:
    """Two machines whose bases differ in other files: an image onto scratch names no base, and is the same."""
    recipe, records = cli.recipe(more=TINY), []
    for number in ("1", "2"):
        (cli.directory / f"more-{number}").write_text(number)
        subprocess.run(["tar", "--append", "--file", "base.tar", f"more-{number}"], cwd=cli.directory, check=True)
        records.append(json.loads(cli("build", recipe, "--engine", "docker", "--json", "--output", number).stdout))
    sample, tiny = ([record["images"][position]["manifest"] for record in records] for position in (0, 1))
    assert sample[0] != sample[1]
    assert tiny[0] == tiny[1]
    assert "annotations" not in json.loads((cli.directory / "1/blobs/sha256" / tiny[0][7:]).read_bytes())


@pytest.fixture
def podman(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Beside docker."""
    with engines.podman(tmp_path_factory.mktemp("podman")):
        yield


def test_docker_and_podman_give_one_image(podman: None, cli: Cli) -> None:
    """To the last byte of layer, config and manifest: nothing of the engine is in it, whichever way it is read."""
    recipe, layouts = cli.recipe(more=TINY), []
    for engine in ("docker", "podman"):
        for way, told in (("overlay", "overlay"), ("export", "exports")):
            output = f"{engine}-{way}"
            done = cli("build", recipe, "--engine", engine, "--capture", way, "--output", output, "--json")
            record = json.loads(done.stdout)
            assert (record["engine"]["name"], record["engine"]["capture"]) == (engine, told)
            layouts.append(contents(cli.directory / output))
            time.sleep(1.1)  # another second, other times of new files
    assert sum(name.startswith("blobs") for name in layouts[0]) == 7, "a base, two layers, two configs and manifests"
    assert layouts[1:] == layouts[:1] * 3


def contents(layout: Path) -> dict[str, bytes]:
    """All of a layout but the record, which says what each step cost."""
    files = (path for path in layout.rglob("*") if path.is_file() and path.name != "imgasm.json")
    return {str(path.relative_to(layout)): path.read_bytes() for path in files}
