"""What is mounted over the container's files while the steps run: VOLUMEs of the base, and the engine's own files."""

from __future__ import annotations

import json
import os
import subprocess
import tarfile
from typing import TYPE_CHECKING, Any

import pytest

from assembler.engine.connect import connect
from tests.commands.test_build import Cli, contents
from tests.commands.test_remote_engine import remote_docker, remote_podman
from tests.support import engines
from tests.support.people import person

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.engine

BASE = """
name = "base"
[base]
rootfs = "base.tar"
[[file]]
path = "/data/keep"
content = "of the base\\n"
[[file]]
path = "/data/gone"
content = "of the base\\n"
[[file]]
path = "/data/sub/change"
content = "of the base\\n"
[[image]]
name = "base"
compression = "gzip"
"""

RECIPE = """
name = "sample"
source_date_epoch = 1700000000

[base]
layout = "build/base"

[container]
network = "none"
scratch = [{scratch}]

[[file]]
path = "/data/file"
content = "of the recipe\\n"

[[step]]
name = "work"
run = '''
cd /data
rm gone
echo changed >sub/change
echo new >new; ln new sub/hard
echo pruned >pruned
chmod 700 sub
mkdir -p scratch; echo lost >scratch/lost
'''

[prune]
paths = ["/data/pruned", "/data/scratch"]

[[image]]
name = "sample"
compression = "gzip"

[[image]]
name = "tiny"
onto = "scratch"
keep = ["/data/sub/**"]
compression = "gzip"
"""

ENTRIES = ["data/.wh.gone", "data/file", "data/new", "data/sub/", "data/sub/change", "data/sub/hard"]


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    """With a base that declares volumes: one with files, and one whose directory it lacks."""
    cli = Cli(tmp_path)
    (tmp_path / "base.tar").write_bytes(engines.busybox_rootfs().getvalue())
    (tmp_path / "base.toml").write_text(BASE)
    cli("build", "base.toml")
    subprocess.run(["umoci", "config", "--image", tmp_path / "build/base:latest", "--config.volume", "/data",
                    "--config.volume", "/none/here"], check=True)  # fmt: skip
    (tmp_path / "sample.toml").write_text(RECIPE.format(scratch=""))
    return cli


@pytest.fixture
def podman(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Beside docker."""
    with engines.podman(tmp_path_factory.mktemp("podman")):
        yield


def volumes() -> str:
    return subprocess.run(["docker", "volume", "ls", "-q"], capture_output=True, text=True, check=True).stdout


def layers(layout: Path) -> dict[str, dict[str, bytes | None]]:
    """For each image its own layer's members, with their contents."""
    found = {}
    for name, manifest in manifests(layout).items():
        with tarfile.open(blob(layout, manifest["layers"][-1])) as tar:
            found[name] = {member.name + "/" * member.isdir(): _content(tar, member) for member in tar}
    return found


def config(layout: Path, image: str) -> dict[str, Any]:
    return json.loads(blob(layout, manifests(layout)[image]["config"]).read_bytes())["config"]  # type: ignore[no-any-return]


def manifests(layout: Path) -> dict[str, Any]:
    images = json.loads((layout / "imgasm.json").read_bytes())["images"]
    return {image["name"]: json.loads(blob(layout, {"digest": image["manifest"]}).read_bytes()) for image in images}


def blob(layout: Path, descriptor: dict[str, str]) -> Path:
    return layout / "blobs" / descriptor["digest"].replace(":", "/")


def _content(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes | None:
    file = tar.extractfile(member)
    return file.read() if file else None


def test_12_what_steps_do_below_a_volume_of_the_base_is_in_the_image(podman: None, cli: Cli) -> None:
    """On both engines, in both ways of reading, to the last byte the same; and no volume is left behind."""
    layouts = []
    for engine in ("docker", "podman"):
        for way in ("overlay", "export"):
            output = f"{engine}-{way}"
            cli("build", "sample.toml", "--engine", engine, "--capture", way, "--output", output, "--prove")
            layouts.append(contents(cli.directory / output))
    assert layouts[1:] == layouts[:1] * 3
    found = layers(cli.directory / "docker-overlay")
    assert sorted(found["sample"]) == ENTRIES
    assert found["sample"]["data/sub/change"] == b"changed\n"
    assert found["sample"]["data/file"] == b"of the recipe\n"
    assert sorted(found["tiny"]) == ["data/", "data/sub/", "data/sub/change", "data/sub/hard"]
    assert found["tiny"]["data/sub/change"] == b"changed\n", "what the steps made of it, not what the base had"
    assert config(cli.directory / "docker-overlay", "sample")["Volumes"] == {"/data": {}, "/none/here": {}}
    assert not volumes()


def test_12_a_volume_that_cannot_be_unmounted_is_read_as_part_of_the_tree(cli: Cli, tmp_path: Path) -> None:
    """By a user in group docker, and over connections: no file of the engine's can be seen there."""
    cli("build", "sample.toml", "--engine", "docker")
    here, layouts = contents(cli.directory / "build/sample"), []
    socket = connect("docker").info.socket
    with person() as someone:
        (someone.home / "build").mkdir()
        subprocess.run(["cp", "-r", cli.directory / "build/base", someone.home / "build/base"], check=True)
        someone.give(cli.directory / "sample.toml")
        done = someone.imgasm("build", "sample.toml", "--prove", socket=socket)
        assert done.returncode == 0, done.stderr
        layouts.append(contents(someone.home / "build/sample"))
    (tmp_path / "podman").mkdir()
    for remote in (remote_docker, lambda: remote_podman(tmp_path / "podman")):
        with remote() as (found, _):
            cli.environment |= found
            name = "podman" if "CONTAINER_HOST" in found else "docker"
            cli("build", "sample.toml", "--engine", name, "--output", f"remote-{name}", "--prove")
            layouts.append(contents(cli.directory / f"remote-{name}"))
    assert layouts == [here] * 3
    assert not volumes()


def test_12_scratch_in_a_volume_of_the_base_stays_scratch(cli: Cli) -> None:
    (cli.directory / "sample.toml").write_text(RECIPE.format(scratch='"/data/scratch"'))
    refused = cli("build", "sample.toml", "--engine", "docker", "--capture", "overlay", status=5)
    assert "/data is a volume of the base's" in refused.stderr
    cli("build", "sample.toml", "--engine", "docker", "--prove")
    assert sorted(layers(cli.directory / "build/sample")["sample"]) == ENTRIES
    assert not volumes()


def test_12_a_volume_that_is_scratch_reaches_no_layer(cli: Cli) -> None:
    recipe = RECIPE.format(scratch='"/data"').replace('"/data/sub/**"', '"/kept"')
    (cli.directory / "sample.toml").write_text(recipe.replace("rm gone\n", "rm gone; echo kept >/kept\n"))
    cli("build", "sample.toml", "--engine", "docker", "--prove")
    assert layers(cli.directory / "build/sample")["sample"] == {"kept": b"kept\n"}


LOST = """
name = "sample"
[base]
rootfs = "base.tar"
[container]
network = "none"
{file}
[[step]]
name = "write"
run = "{run}"
[[step]]
name = "next"
run = "echo was it run"
[prune]
paths = [{prune}]
[[image]]
name = "sample"
compression = "gzip"
{keep}
"""


@pytest.fixture(params=["docker", "podman", "remote docker"])
def build(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, tmp_path: Path
) -> Iterator[Callable[..., str]]:
    cli = Cli(tmp_path)
    (tmp_path / "base.tar").write_bytes(engines.busybox_rootfs().getvalue())

    def build(status: int, *, run: str, file: str = "", prune: str = "", keep: str = "") -> str:
        (tmp_path / "sample.toml").write_text(LOST.format(run=run, file=file, prune=prune, keep=keep))
        return cli("build", "sample.toml", "-v", "--engine", request.param.split()[-1], status=status).stderr

    with engines.podman(tmp_path_factory.mktemp("podman")) if request.param == "podman" else remote_docker() as found:
        if request.param == "podman":
            cli.environment |= {name: value for name, value in os.environ.items() if name.startswith("CONTAINERS_")}
        elif request.param != "docker":
            cli.environment |= found[0]
        yield build


def test_12_what_is_written_to_a_file_of_the_engines_is_refused_when_it_happens(build: Callable[..., str]) -> None:
    told = build(7, run="echo '127.0.0.2 other' >>/etc/hosts")
    assert "step 'write' changed /etc/hosts" in told and "was it run" not in told
    file = '[[file]]\npath = "/etc/hostname"\ncontent = "other"'
    assert "a [[file]] changed /etc/hostname" in build(7, file=file, run="true")


def test_12_what_no_image_shall_have_may_be_written_anywhere(build: Callable[..., str]) -> None:
    run = "echo '127.0.0.2 other' >>/etc/hosts; echo word >/opt/word"
    build(0, run=run, prune='"/etc/hosts"')
    build(0, run=run, keep='keep = ["/opt/word"]')
