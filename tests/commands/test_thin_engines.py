"""Thin images and real engines: the build's own base, and loading what was never pulled."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from assembler.image.layout import Layout
from tests.support.debian_registry import debian_registry
from tests.support.thin import Imgasm, busybox, layer_names, read_json, rootfs, write_image

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from assembler.engine.client import Engine
    from tests.support.debian_registry import DebianRegistry

pytestmark = pytest.mark.engine

RECIPE = """
name = "stepped"

[base]
image = "{base}"

[container]
network = "none"

[[step]]
name = "write"
run = "echo two > /opt/word; rm /opt/old/file"

[[image]]
name = "stepped"
reference = "{reference}"
compression = "gzip"
cmd = ["/bin/cat", "/opt/word"]
"""


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DebianRegistry]:
    with debian_registry(tmp_path_factory.mktemp("registry")) as registry:
        yield registry


@pytest.fixture
def imgasm(tmp_path: Path) -> Imgasm:
    return Imgasm(tmp_path, IMGASM_ENGINE="docker")


def push_base(imgasm: Imgasm, name: str, word: bytes = b"one\n") -> None:
    layout = Layout.create(imgasm.directory / "base")
    write_image(layout, name, busybox(), rootfs({"opt/word": word}))
    imgasm("push", "base", "--image", name)


def docker_run(reference: str) -> str:
    run = ["docker", "run", "--rm", "--network", "none", reference]
    return subprocess.run(run, capture_output=True, text=True, check=True).stdout


def test_the_builds_own_base_keeps_its_registrys_blobs(imgasm: Imgasm, registry: DebianRegistry) -> None:
    base, target = f"{registry.host}/own/base:1", f"{registry.host}/own/image:1"
    push_base(imgasm, base)
    (imgasm.directory / "stepped.toml").write_text(RECIPE.format(base=base, reference=target))
    image = imgasm.json("build", "stepped.toml")["images"][0]

    layout = imgasm.directory / "build/stepped"
    layers = read_json(layout, image["manifest"])["layers"]
    assert layers[:2] == read_json(imgasm.directory / "base", _manifest(imgasm, base))["layers"]
    assert layer_names(layout, image["manifest"]) == ["opt/old/.wh.file", "opt/word"]
    assert imgasm.json("push")[0]["sent"] < 10_000
    assert docker_run(target) == "two\n"


def test_an_engine_that_has_the_base_loads_a_thin_image_without_the_registry(
    imgasm: Imgasm, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with debian_registry(tmp_path_factory.mktemp("gone")) as registry:
        base = f"{registry.host}/own/base:1"
        push_base(imgasm, base)
        (imgasm.directory / "stepped.toml").write_text(RECIPE.format(base=base, reference="localhost/stepped:1"))
        imgasm("build", "stepped.toml")
    assert imgasm("load").stdout == "localhost/stepped:1\n"
    assert docker_run("localhost/stepped:1") == "two\n"


def test_a_base_that_moved_in_its_registry_is_taken_from_the_engine(imgasm: Imgasm, registry: DebianRegistry) -> None:
    base = f"{registry.host}/moved/base:1"
    push_base(imgasm, base)
    (imgasm.directory / "stepped.toml").write_text(RECIPE.format(base=base, reference="localhost/moved:1"))
    imgasm("build", "stepped.toml")
    push_base(imgasm, base, b"another\n")
    done = imgasm("build", "stepped.toml")

    assert "is another image in its registry now" in done.stderr
    assert imgasm("load").stdout == "localhost/moved:1\n"


def test_the_base_is_fetched_to_load_only_when_it_is_asked_for(
    engine: Engine, imgasm: Imgasm, registry: DebianRegistry
) -> None:
    base = f"{registry.host}/fetched/base:1"
    push_base(imgasm, base, b"fetched\n")
    write_image(Layout.create(imgasm.directory / "more"), "localhost/more:1", rootfs({"opt/new": b"new\n"}))
    (imgasm.directory / "still.toml").write_text(f"""
name = "still"
[base]
layout = "./more"
[[image]]
name = "still"
onto = "{base}"
keep = ["/opt/**"]
cmd = ["/bin/cat", "/opt/word", "/opt/new"]
""")
    imgasm("build", "still.toml")
    assert "--copy-base-layers" in imgasm("load", "--engine", engine.name, status=8).stderr
    assert imgasm("load", "--engine", engine.name, "--copy-base-layers").stdout == "localhost/still:latest\n"
    assert not [path for path in (imgasm.directory / ".cache").rglob("*") if path.is_file()]


def _manifest(imgasm: Imgasm, name: str) -> str:
    return str(Layout.open(imgasm.directory / "base").find(name).digest)
