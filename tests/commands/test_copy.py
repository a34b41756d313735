"""imgasm copy between all kinds of places; other tools say whether what arrived is right."""

from __future__ import annotations

import subprocess
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from assembler.image.image import read_image
from assembler.image.layout import Layout
from assembler.image.recompress import recompress
from assembler.model.reference import Reference
from tests.support.debian_registry import debian_registry
from tests.support.images import write_index
from tests.support.proxy import counting_proxy
from tests.support.thin import Imgasm, busybox, rootfs, write_image

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from assembler.engine.client import Engine
    from tests.support.debian_registry import DebianRegistry


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DebianRegistry]:
    with debian_registry(tmp_path_factory.mktemp("registry")) as registry:
        yield registry


@pytest.fixture
def imgasm(tmp_path: Path) -> Imgasm:
    """With an image of gzip layers in the layout ``in``."""
    plain, layout = Layout.create(tmp_path / "plain"), Layout.create(tmp_path / "in")
    word = rootfs({"opt/word": b"copied\n"})
    listed = write_image(plain, "example.com/team/tool:1", busybox(), word, Cmd=["/bin/cat", "/opt/word"])
    packed = recompress(plain, read_image(plain, listed), layout, "gzip")
    layout.tag(packed.descriptor, Reference.parse("example.com/team/tool:1"))
    return Imgasm(tmp_path)


def digest_in(place: str) -> str:
    tls = [] if place.startswith("oci") else ["--tls-verify=false"]
    done = subprocess.run(["skopeo", "inspect", "--format", "{{.Digest}}", *tls, place],
                          capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_a_digest_survives_the_way_through_every_place(imgasm: Imgasm, registry: DebianRegistry) -> None:
    one, two = f"{registry.host}/one:1", f"{registry.host}/two:1"
    way = ["in", one, f"docker://{two}", "oci:middle:v2", "whole.tar", "./out"]
    digests = {imgasm.json("copy", source, target)["digest"] for source, target in pairwise(way)}

    original = str(Layout.open(imgasm.directory / "in").find().digest)
    assert digests == {original}
    assert digest_in(f"docker://{two}") == original
    assert digest_in(f"oci:{imgasm.directory}/out") == original
    assert str(Layout.open(imgasm.directory / "middle").find("v2").digest) == original
    assert not [path for path in (imgasm.directory / ".cache").rglob("*") if path.is_file()]


def test_an_index_is_copied_whole_or_one_platform_of_it(imgasm: Imgasm, registry: DebianRegistry) -> None:
    layout = Layout.open(imgasm.directory / "in")
    index = write_index(layout, [read_image(layout)])
    layout.tag(index, Reference.parse("example.com/team/all:1"))
    imgasm("copy", "oci:in:example.com/team/all:1", f"{registry.host}/all:1")
    imgasm("copy", f"{registry.host}/all:1", f"{registry.host}/again:1")
    imgasm("copy", f"{registry.host}/all:1", "./one", "--platform", "linux/amd64")

    raw = subprocess.run(["skopeo", "inspect", "--raw", "--tls-verify=false", f"docker://{registry.host}/again:1"],
                         capture_output=True, check=True).stdout
    assert raw == layout.read(index)
    assert Layout.open(imgasm.directory / "one").find().digest == layout.find("example.com/team/tool:1").digest


def test_within_a_registry_blobs_are_mounted(imgasm: Imgasm, registry: DebianRegistry) -> None:
    imgasm("copy", "in", f"{registry.host}/mounted/from:1")
    with counting_proxy(registry.host) as proxy:
        imgasm("copy", f"{proxy.host}/mounted/from:1", f"{proxy.host}/mounted/to:1")
        assert proxy.total < 20_000


def test_between_registries_nothing_touches_the_disk(
    imgasm: Imgasm, registry: DebianRegistry, tmp_path_factory: pytest.TempPathFactory
) -> None:
    imgasm("copy", "in", f"{registry.host}/far:1")
    before = {path for path in imgasm.directory.rglob("*") if path.is_file()}
    with debian_registry(tmp_path_factory.mktemp("other")) as other:
        imgasm("copy", f"{registry.host}/far:1", f"{other.host}/far:1")
        assert digest_in(f"docker://{other.host}/far:1") == digest_in(f"docker://{registry.host}/far:1")
    assert {path for path in imgasm.directory.rglob("*") if path.is_file()} == before


@pytest.mark.engine
def test_into_engines_and_out_of_them(engine: Engine, imgasm: Imgasm) -> None:
    name = {"docker": "docker-daemon", "podman": "containers-storage"}[engine.name]
    imgasm("copy", "in", f"{name}:localhost/copied:1")
    run = [engine.name, "run", "--rm", "--network", "none", "localhost/copied:1"]
    assert subprocess.run(run, capture_output=True, text=True, check=True).stdout == "copied\n"

    imgasm("copy", f"{name}:localhost/copied:1", "./back")
    first, second = (read_image(Layout.open(imgasm.directory / place)).config for place in ("in", "back"))
    assert first["rootfs"] == second["rootfs"]
    assert Layout.open(imgasm.directory / "back").find("localhost/copied:1")


def test_a_place_that_is_not_there(imgasm: Imgasm) -> None:
    assert "There is nothing at" in imgasm("copy", "./nowhere", "./out", status=2).stderr
    assert not (imgasm.directory / "out").exists()
