"""Images on bases that stay in their registry: what is read, what is written, what is sent."""

from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from assembler.image.layout import Layout
from tests.support.debian_registry import debian_registry
from tests.support.proxy import counting_proxy
from tests.support.thin import Imgasm, busybox, layer_names, read_json, rootfs, write_image

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from assembler.engine.client import Engine
    from tests.support.debian_registry import DebianRegistry
    from tests.support.proxy import CountingProxy

MODULE = b"\x7fELF" + bytes(100_000)
LOAD = b"#!/bin/sh\necho modules loaded\nexec \"$@\"\n"
BIG = 200_000_000

RECIPE = """
name = "stacked"

[base]
layout = "./modules"

[[image]]
name = "stacked"
reference = "{reference}"
onto = "{onto}"
keep = {keep}
launcher = ["/opt/nvidia/load"]
compression = "{compression}"
annotations = {{ "kernel.release" = "6.1.0-56-amd64" }}
"""


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DebianRegistry]:
    with debian_registry(tmp_path_factory.mktemp("registry")) as registry:
        yield registry


@pytest.fixture(scope="module")
def bases(registry: DebianRegistry, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The repository ``science/base`` with an image of 200 MB, and a small one. In both /lib is a link."""
    directory = tmp_path_factory.mktemp("base")
    layout = Layout.create(directory / "base")
    system, lib = busybox(), rootfs({"lib": "usr/lib", "usr": None, "usr/lib": None})
    config = {"Entrypoint": ["/bin/echo", "the base's own:"], "Cmd": ["hello"]}
    for tag, size in (("big", BIG), ("small", 1000)):
        data = rootfs({"usr/share": None, "usr/share/model": os.urandom(size)})
        write_image(layout, f"{registry.host}/science/base:{tag}", lib, system, data, **config)
    Imgasm(directory)("push", "base")
    return f"{registry.host}/science/base"


@pytest.fixture
def big(bases: str) -> str:
    return f"{bases}:big"


@pytest.fixture
def base(bases: str) -> str:
    return f"{bases}:small"


@pytest.fixture
def proxy(registry: DebianRegistry) -> Iterator[CountingProxy]:
    with counting_proxy(registry.host) as proxy:
        yield proxy


@pytest.fixture
def imgasm(tmp_path: Path) -> Imgasm:
    modules = rootfs({
        "opt": None, "opt/nvidia": None, "opt/nvidia/load": LOAD, "opt/nvidia/nvidia.ko": MODULE,
        "lib": None, "lib/firmware": None, "lib/firmware/gsp.bin": b"firmware",
    })  # fmt: skip
    write_image(Layout.create(tmp_path / "modules"), "localhost/modules:1", modules)
    return Imgasm(tmp_path, DOCKER_HOST="unix:///nowhere")


def build(imgasm: Imgasm, onto: str, reference: str, *options: str, keep: str = '["/opt/nvidia/**"]',
          compression: str = "gzip") -> Any:
    recipe = RECIPE.format(onto=onto, reference=reference, keep=keep, compression=compression)
    (imgasm.directory / "stacked.toml").write_text(recipe)
    return imgasm.json("build", "stacked.toml", *options)["images"][0]


def test_onto_a_large_base_goes_no_more_than_the_layer_and_64_kilobytes(
    imgasm: Imgasm, big: str, proxy: CountingProxy, registry: DebianRegistry
) -> None:
    target = f"{proxy.host}/science/tensorflow:gpu"
    image = build(imgasm, big.replace(registry.host, proxy.host), target)
    assert proxy.total < 16_384, "only the manifest and the config are read to build"
    pushed = imgasm.json("push")[0]

    assert proxy.total <= image["layer"]["compressed"] + 65_536
    assert sorted(pushed["blobs"].values()) == ["mounted"] * 3 + ["sent"] * 2
    assert not (imgasm.directory / ".cache").exists() or not list((imgasm.directory / ".cache").rglob("sha256/*"))


def test_the_base_is_kept_to_the_byte_and_its_own_program_runs_last(
    imgasm: Imgasm, base: str, registry: DebianRegistry
) -> None:
    image = build(imgasm, base, f"{registry.host}/science/stacked:1")
    layout = imgasm.directory / "build/stacked"
    manifest = read_json(layout, image["manifest"])
    below = subprocess.run(["skopeo", "inspect", "--raw", "--tls-verify=false", f"docker://{base}"],
                           capture_output=True, text=True, check=True).stdout

    assert manifest["layers"][:3] == json.loads(below)["layers"]
    assert manifest["annotations"]["org.opencontainers.image.base.name"] == base
    config = read_json(layout, manifest["config"]["digest"])
    assert len(config["history"]) == len(config["rootfs"]["diff_ids"]) == 4
    assert config["config"]["Entrypoint"] == ["/opt/nvidia/load", "/bin/echo", "the base's own:"]
    assert config["config"]["Cmd"] == ["hello"]
    assert layer_names(layout, image["manifest"]) == ["opt/", "opt/nvidia/", "opt/nvidia/load", "opt/nvidia/nvidia.ko"]


def test_a_link_of_the_base_is_looked_for_and_followed(imgasm: Imgasm, big: str, proxy: CountingProxy,
                                                       registry: DebianRegistry) -> None:
    onto = big.replace(registry.host, proxy.host)
    image = build(imgasm, onto, f"{proxy.host}/science/firmware:1", keep='["/lib/firmware/**"]')

    names = layer_names(imgasm.directory / "build/stacked", image["manifest"])
    assert names == ["usr/", "usr/lib/", "usr/lib/firmware/", "usr/lib/firmware/gsp.bin"]
    assert proxy.total < 64_000, "the lowest layer tells, and is not read further than it must"


def test_inspecting_the_base_leaves_out_what_it_has(imgasm: Imgasm, big: str, proxy: CountingProxy,
                                                    registry: DebianRegistry) -> None:
    onto = big.replace(registry.host, proxy.host)
    image = build(imgasm, onto, f"{proxy.host}/science/inspected:1", "--inspect-base")

    names = layer_names(imgasm.directory / "build/stacked", image["manifest"])
    assert names == ["opt/nvidia/", "opt/nvidia/load", "opt/nvidia/nvidia.ko"]  # the base has /opt
    assert proxy.down > BIG
    assert not list((imgasm.directory / ".cache").rglob("sha256/*"))


@pytest.fixture
def other(tmp_path: Path) -> Iterator[DebianRegistry]:
    with debian_registry(tmp_path / "other") as registry:
        yield registry


def test_another_registry_gets_the_base_only_when_it_is_asked_for(
    imgasm: Imgasm, big: str, other: DebianRegistry
) -> None:
    target = f"{other.host}/copied/stacked:1"
    image = build(imgasm, big, target)
    refused = imgasm("push", status=9)
    assert "200 MB" in refused.stderr or "202 MB" in refused.stderr
    assert "--copy-base-layers" in refused.stderr
    assert "docker/registry/v2/repositories/copied" not in str(list(other.root.rglob("*")))

    pushed = imgasm.json("push", "--copy-base-layers")[0]
    assert pushed["sent"] >= BIG + image["layer"]["compressed"]
    assert not any(path.stat().st_size > BIG for path in imgasm.directory.rglob("*") if "other" not in path.parts)
    subprocess.run(["skopeo", "copy", "--src-tls-verify=false", f"docker://{target}", f"dir:{imgasm.directory}/dir"],
                   check=True, capture_output=True)


@pytest.mark.engine
def test_what_was_pushed_runs(engine: Engine, imgasm: Imgasm, base: str, registry: DebianRegistry) -> None:
    target = f"{registry.host}/science/runs:1"
    build(imgasm, base, target)
    imgasm("push")
    insecure = ["--tls-verify=false"] if engine.name == "podman" else []
    command = [engine.name, "run", "--rm", "--network", "none", *insecure, target]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == "modules loaded\nthe base's own: hello\n"


def test_a_thin_layout_is_sound_and_can_be_built_on(imgasm: Imgasm, base: str, registry: DebianRegistry) -> None:
    build(imgasm, base, f"{registry.host}/science/below:1")
    assert imgasm("verify", "build/stacked", "--strict").stdout == "nothing is wrong\n"

    recipe = (imgasm.directory / "stacked.toml").read_text().replace(f'"{base}"', '"./build/stacked"')
    (imgasm.directory / "again.toml").write_text(recipe.replace('"stacked"', '"again"').replace("below", "above"))
    image = imgasm.json("build", "again.toml")["images"][0]
    assert len(image["base"]) == 4
    pushed = imgasm.json("push", "build/again")[0]
    assert sorted(pushed["blobs"].values()) == ["mounted"] * 3 + ["sent"] * 2  # the layer is the same


def test_loading_says_what_is_missing_and_where_it_is(imgasm: Imgasm, base: str, registry: DebianRegistry) -> None:
    build(imgasm, base, f"{registry.host}/science/loaded:1")
    refused = imgasm("load", "--engine", "podman", status=8)
    assert f"{registry.host}/science/base" in refused.stderr and "--copy-base-layers" in refused.stderr


REMOVING = """
name = "removing"
[base]
rootfs = "base.tar"
[container]
network = "none"
[[step]]
name = "remove"
run = "rm /etc/passwd; echo > /opt/new"
[[image]]
name = "removing"
onto = "{onto}"
compression = "gzip"
"""


@pytest.mark.engine
def test_a_removal_wants_to_know_the_base(imgasm: Imgasm, base: str) -> None:
    (imgasm.directory / "base.tar").write_bytes(busybox())
    (imgasm.directory / "removing.toml").write_text(REMOVING.format(onto=base))
    imgasm = Imgasm(imgasm.directory)
    refused = imgasm("build", "removing.toml", status=7)
    assert "/etc/passwd was removed" in refused.stderr and "--inspect-base" in refused.stderr

    image = imgasm.json("build", "removing.toml", "--inspect-base")["images"][0]
    assert layer_names(imgasm.directory / "build/removing", image["manifest"]) == ["etc/.wh.passwd", "opt/new"]
