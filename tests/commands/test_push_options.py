"""What a push can change on the way, and what it leaves as it is."""

from __future__ import annotations

import hashlib
import json
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from assembler.image.layout import Layout
from assembler.model import media_types
from assembler.model.descriptor import canonical_json
from tests.support.debian_registry import debian_registry
from tests.support.layouts import Handmade, tar
from tests.support.thin import Imgasm, busybox, read_json, rootfs, write_image

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.debian_registry import DebianRegistry


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DebianRegistry]:
    with debian_registry(tmp_path_factory.mktemp("registry")) as registry:
        yield registry


@pytest.fixture
def imgasm(tmp_path: Path, registry: DebianRegistry) -> Imgasm:
    """With a layout of two zstd images of one build, for two kernels."""
    imgasm = Imgasm(tmp_path)
    write_image(Layout.create(tmp_path / "modules"), "localhost/modules:1", rootfs({"opt/module": b"module " * 1000}))
    (tmp_path / "modules.toml").write_text(f"""
name = "modules"
[vars]
kernel = ""
[base]
layout = "./modules"
[[image]]
name = "modules"
reference = "{registry.host}/{tmp_path.name.replace('_', '-')}/modules:{{{{ kernel }}}}"
onto = "scratch"
env = {{ KERNEL = "{{{{ kernel }}}}" }}
annotations = {{ "kernel.release" = "{{{{ kernel }}}}" }}
""")
    for kernel in ("6.1", "6.6"):
        imgasm("build", "modules.toml", "--set", f"kernel={kernel}", "--output", "out")
    return imgasm


def raw(name: str, *options: str) -> Any:
    done = subprocess.run(["skopeo", "inspect", "--raw", "--tls-verify=false", *options, f"docker://{name}"],
                          capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def names(layout: Path) -> list[str]:
    index = json.loads((layout / "index.json").read_bytes())
    return [entry["annotations"]["io.containerd.image.name"] for entry in index["manifests"]]


def listing(directory: Path) -> dict[str, str]:
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in directory.rglob("*") if path.is_file()}


def test_compression_is_converted_on_the_way_and_the_layout_stays(imgasm: Imgasm, registry: DebianRegistry) -> None:
    before = listing(imgasm.directory / "out")
    pushed = imgasm.json("push", "out", f"{registry.host}/converted:1", "--image", "6.1", "--compression", "gzip")[0]

    assert listing(imgasm.directory / "out") == before
    layers = raw(f"{registry.host}/converted:1")["layers"]
    assert [layer["mediaType"] for layer in layers] == [media_types.OCI_LAYER_GZIP]
    again = imgasm.json("push", "out", f"{registry.host}/converted:1", "--image", "6.1", "--compression", "gzip")[0]
    assert (again["sent"], again["digest"]) == (0, pushed["digest"])
    assert not [path for path in (imgasm.directory / ".cache").rglob("*") if path.is_file()]


def test_docker_gets_its_own_types_and_gzip(imgasm: Imgasm, registry: DebianRegistry, tmp_path: Path) -> None:
    imgasm("push", "out", f"{registry.host}/old:1", "--image", "6.6", "--docker")

    manifest = raw(f"{registry.host}/old:1")
    assert manifest["mediaType"] == media_types.DOCKER_MANIFEST
    assert manifest["config"]["mediaType"] == media_types.DOCKER_CONFIG
    assert [layer["mediaType"] for layer in manifest["layers"]] == [media_types.DOCKER_LAYER_GZIP]
    subprocess.run(["skopeo", "copy", "--src-tls-verify=false", f"docker://{registry.host}/old:1",
                    f"docker-archive:{tmp_path}/old.tar"], check=True, capture_output=True)


def test_docker_and_zstd_contradict_each_other(imgasm: Imgasm, registry: DebianRegistry) -> None:
    place = f"{registry.host}/old:2"
    refused = imgasm("push", "out", place, "--image", "6.6", "--docker", "--compression", "zstd", status=8)
    assert "--compression gzip" in refused.stderr


def test_tags_besides_the_references_own(imgasm: Imgasm, registry: DebianRegistry) -> None:
    name = f"{registry.host}/tagged"
    imgasm("push", "out", f"{name}:1", "--image", "6.1", "--tag", "latest", "--tag", "stable")

    assert raw(f"{name}:1") == raw(f"{name}:latest") == raw(f"{name}:stable")
    assert "--image" in imgasm("push", "out", "--tag", "all", status=2).stderr
    assert "not a tag" in imgasm("push", "out", f"{name}:1", "--image", "6.1", "--tag", "a b", status=2).stderr


def test_an_index_over_all_images_lets_a_node_choose(imgasm: Imgasm, registry: DebianRegistry) -> None:
    name = names(imgasm.directory / "out")[0].rpartition(":")[0]
    imgasm("push", "out", "--index", f"{name}:any")

    index = raw(f"{name}:any")
    assert index["mediaType"] == media_types.OCI_INDEX
    signpost, *images = index["manifests"]
    assert [entry["annotations"] for entry in images] == [{"kernel.release": "6.1"}, {"kernel.release": "6.6"}]
    assert "imgasm choose" in signpost["annotations"]["io.imgasm.signpost"]
    assert {entry["platform"]["os"] for entry in index["manifests"]} == {"linux"}
    # Each image has its own tag as well, for it was built for this repository.
    assert hashlib.sha256(canonical_json(raw(f"{name}:6.6"))).hexdigest() in images[1]["digest"]


def test_an_index_of_images_for_another_repository(imgasm: Imgasm, registry: DebianRegistry) -> None:
    imgasm("push", "out", "--index", f"{registry.host}/elsewhere:any", "--tag", "more")
    assert raw(f"{registry.host}/elsewhere:any") == raw(f"{registry.host}/elsewhere:more")
    listed = subprocess.run(["skopeo", "list-tags", "--tls-verify=false", f"docker://{registry.host}/elsewhere"],
                            capture_output=True, text=True, check=True).stdout
    assert sorted(json.loads(listed)["Tags"]) == ["any", "more"]


def test_a_thin_image_of_zstd_on_gzip_keeps_its_bases_layers(imgasm: Imgasm, registry: DebianRegistry) -> None:
    base = f"{registry.host}/gzipped/base:1"
    layout = Layout.create(imgasm.directory / "base")
    write_image(layout, base, busybox())
    imgasm("push", "base", "--compression", "gzip")
    text = (imgasm.directory / "modules.toml").read_text().replace('onto = "scratch"', f'onto = "{base}"')
    (imgasm.directory / "on.toml").write_text(text.replace("/modules:", "/on:") + 'keep = ["/opt/**"]\n')
    image = imgasm.json("build", "on.toml", "--set", "kernel=1", "--output", "on")["images"][0]
    imgasm("push", "on", "--docker")

    below = raw(base)["layers"]
    assert read_json(imgasm.directory / "on", image["manifest"])["layers"][:1] == below
    pushed = raw(names(imgasm.directory / "on")[0])
    assert pushed["layers"][0]["digest"] == below[0]["digest"]
    assert {layer["mediaType"] for layer in pushed["layers"]} == {media_types.DOCKER_LAYER_GZIP}


def test_one_index_for_two_platforms_that_were_built_one_after_the_other(
    imgasm: Imgasm, registry: DebianRegistry
) -> None:
    text = (imgasm.directory / "modules.toml").read_text()
    text = text.replace("modules:{{ kernel }}", "many:{{ kernel }}")
    for architecture in ("amd64", "arm64"):
        files = Handmade(imgasm.directory / architecture)
        files.name(files.image(tar({"opt/module": b"module"}), architecture=architecture), "1")
        files.save()
        (imgasm.directory / "modules.toml").write_text(text.replace('"./modules"', f'"./{architecture}"'))
        imgasm("build", "modules.toml", "--set", f"kernel={architecture}", "--platform", f"linux/{architecture}",
               "--output", "platforms")
    imgasm("push", "platforms", "--index", f"{registry.host}/platforms:1")

    index = raw(f"{registry.host}/platforms:1")
    assert [entry["platform"]["architecture"] for entry in index["manifests"]] == ["amd64", "arm64"]
    chosen = subprocess.run(["skopeo", "inspect", "--tls-verify=false", "--override-arch", "arm64",
                             f"docker://{registry.host}/platforms:1"], capture_output=True, text=True, check=True)
    assert json.loads(chosen.stdout)["Env"] == ["KERNEL=arm64"]
