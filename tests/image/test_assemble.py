"""The new image's config and manifest, as the image-spec and the engines want them."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from imagemaking import AMD64, add_image, add_layer, run

from assembler.errors import ImageError
from assembler.image import annotations as keys
from assembler.image import strict_json
from assembler.image.assemble import BaseImage, assemble, compose
from assembler.image.config import ImageSettings, NewLayer, make_config
from assembler.image.image import Image, parse_image, read_image
from assembler.image.layout import Layout
from assembler.model import media_types
from assembler.model.descriptor import Descriptor, canonical_json
from assembler.model.digest import Digest
from assembler.model.platform import Platform
from assembler.model.reference import Reference
from assembler.model.run_config import RunConfig
from tests.support.images import write_index

LAYER = NewLayer(Descriptor(media_types.OCI_LAYER_ZSTD, Digest.of(b"blob"), 4), Digest.of(b"tar"), "imgasm build")
NOTHING = ImageSettings(RunConfig(), AMD64)


@pytest.fixture
def layout(tmp_path: Any) -> Layout:
    return Layout.create(tmp_path / "layout")


def config_on(base: dict[str, Any] | None, wanted: RunConfig = NOTHING.run, created: str | None = None) -> Any:
    return make_config(base, LAYER, ImageSettings(wanted, AMD64, created=created))


def test_an_image_of_nothing_but_one_layer() -> None:
    image = compose(None, LAYER, NOTHING)
    assert json.loads(image.config_bytes) == {
        "architecture": "amd64", "os": "linux", "config": {},
        "rootfs": {"type": "layers", "diff_ids": [str(LAYER.diff_id)]}, "history": [{"created_by": "imgasm build"}],
    }
    assert json.loads(image.manifest_bytes) == {
        "schemaVersion": 2, "mediaType": media_types.OCI_MANIFEST,
        "config": {"mediaType": media_types.OCI_CONFIG, "digest": str(Digest.of(image.config_bytes)),
                   "size": len(image.config_bytes)},
        "layers": [LAYER.descriptor.to_json()],
    }
    assert image.platform == AMD64


def test_the_same_input_gives_the_same_bytes_and_created_only_when_asked() -> None:
    assert compose(None, LAYER, NOTHING) == compose(None, LAYER, NOTHING)
    dated = json.loads(compose(None, LAYER, replace(NOTHING, created="2026-01-02T03:04:05Z")).config_bytes)
    assert (dated["created"], dated["history"][-1]["created"]) == ("2026-01-02T03:04:05Z",) * 2


BASE: dict[str, Any] = {
    "architecture": "arm", "variant": "v7", "os": "linux", "created": "2020-01-01T00:00:00Z", "docker_version": "19",
    "config": {"Env": ["PATH=/bin", "LANG=C", "EMPTY="], "Cmd": ["bash"], "Healthcheck": {"Test": ["NONE"]},
               "Labels": {"a": "1", "b": "2"}, "ExposedPorts": {"80/tcp": {}}, "OnBuild": None, "User": "app"},
    "rootfs": {"type": "layers", "diff_ids": [str(Digest.of(b"1")), str(Digest.of(b"2"))]},
    "history": [{"created_by": "ADD", "created": "2020-01-01T00:00:00Z"}, {"created_by": "ENV", "empty_layer": True},
                {"created_by": "RUN"}],
}


def test_trap_27_a_base_keeps_its_keys_its_history_and_its_platform() -> None:
    before = canonical_json(BASE)
    config = config_on(BASE)
    assert canonical_json(BASE) == before
    assert config["history"] == [*BASE["history"], {"created_by": "imgasm build"}]
    assert config["rootfs"]["diff_ids"] == [*BASE["rootfs"]["diff_ids"], str(LAYER.diff_id)]
    assert config["config"] == BASE["config"]
    assert (config["architecture"], config["variant"], config["docker_version"]) == ("arm", "v7", "19")
    assert "created" not in config


def test_env_and_labels_are_merged_in_a_stable_order() -> None:
    wanted = RunConfig(env={"NEW": "x", "LANG": "C.UTF-8"}, labels={"b": "3", "c": "4"})
    config = config_on(BASE, wanted)["config"]
    assert config["Env"] == ["PATH=/bin", "LANG=C.UTF-8", "EMPTY=", "NEW=x"]
    assert config["Labels"] == {"a": "1", "b": "3", "c": "4"}


def test_what_else_an_image_can_say() -> None:
    wanted = RunConfig(user="root", workdir="/w", ports=("80/tcp", "53/udp", "9090"), volumes=("/data",),
                       stop_signal="SIGINT")
    config = config_on(BASE, wanted)["config"]
    assert (config["User"], config["WorkingDir"], config["StopSignal"]) == ("root", "/w", "SIGINT")
    assert config["ExposedPorts"] == {"80/tcp": {}, "53/udp": {}, "9090/tcp": {}}
    assert config["Volumes"] == {"/data": {}}


@pytest.mark.parametrize(("wanted", "entrypoint", "cmd"), [
    (RunConfig(), None, ["bash"]), (RunConfig(cmd=("sh",)), None, ["sh"]), (RunConfig(cmd=()), None, None),
    (RunConfig(entrypoint=("/x",)), ["/x"], None), (RunConfig(entrypoint=("/x",), cmd=("-v",)), ["/x"], ["-v"]),
])
def test_entrypoint_and_cmd_like_in_a_dockerfile(wanted: RunConfig, entrypoint: Any, cmd: Any) -> None:
    config = config_on(BASE, wanted)["config"]
    assert (config.get("Entrypoint"), config.get("Cmd")) == (entrypoint, cmd)


@pytest.mark.parametrize("history", [None, [], [{"created_by": "x", "empty_layer": True}], [{"created_by": "x"}]])
def test_a_short_history_is_padded_to_one_entry_per_layer(history: Any) -> None:
    config = config_on({**BASE, "history": history})
    assert sum(not entry.get("empty_layer") for entry in config["history"]) == 3
    assert config["history"][: len(history or [])] == (history or [])


@pytest.mark.parametrize("broken", [
    {"history": [{}] * 3}, {"history": "none"}, {"history": [1]}, {"rootfs": "none"},
    {"rootfs": {"diff_ids": [1]}}, {"os": "windows"},
])
def test_bases_that_can_not_be_built_on_are_refused(broken: dict[str, Any]) -> None:
    with pytest.raises(ImageError) as caught:
        config_on({**BASE, **broken})
    assert caught.value.hint


def docker_base() -> Image:
    config = canonical_json({**BASE, "rootfs": {"diff_ids": [str(Digest.of(b"1"))]}, "history": []})
    layer = {"mediaType": media_types.DOCKER_LAYER_GZIP, "digest": str(Digest.of(b"z")), "size": 9, "urls": ["https://x.y/z"],
             "annotations": {"kept": "yes"}}
    manifest = canonical_json({
        "schemaVersion": 2, "mediaType": media_types.DOCKER_MANIFEST, "layers": [layer],
        "config": Descriptor(media_types.DOCKER_CONFIG, Digest.of(config), len(config)).to_json(),
        "annotations": {"org.opencontainers.image.title": "t", keys.VERSION: "9", keys.BASE_NAME: "old"},
    })
    return parse_image(Descriptor(media_types.DOCKER_MANIFEST, Digest.of(manifest), len(manifest)), manifest, config)


def test_a_docker_base_becomes_oci_and_keeps_its_layer_descriptors() -> None:
    base = docker_base()
    settings = ImageSettings(RunConfig(), AMD64, {"mine": "1"})
    manifest = compose(BaseImage(base, Reference.parse("debian")), LAYER, settings).manifest
    assert manifest["mediaType"] == media_types.OCI_MANIFEST
    assert manifest["config"]["mediaType"] == media_types.OCI_CONFIG
    assert manifest["layers"][0] == {**base.manifest["layers"][0], "mediaType": media_types.OCI_LAYER_GZIP}
    assert manifest["annotations"] == {
        "org.opencontainers.image.title": "t", "mine": "1", keys.BASE_NAME: "docker.io/library/debian:latest",
        keys.BASE_DIGEST: str(base.descriptor.digest),
    }


@pytest.mark.parametrize("change", [
    {"manifests": []}, {"Layers": []}, {"fsLayers": []}, {"FSLAYERS": []}, {"history": []}, {"schemaVersion": 1},
    {"mediaType": media_types.OCI_INDEX}, {"layers": None}, {"layers": {}}, {"config": None},
    {"config": Descriptor("application/vnd.cncf.helm.config.v1+json", Digest.of(b"{}"), 2).to_json()},
])
def test_cve_2021_41190_a_manifest_that_can_be_read_in_two_ways_is_refused(layout: Layout, change: Any) -> None:
    image = add_image(layout, {"a": b""})
    descriptor = layout.put_bytes(media_types.OCI_MANIFEST, canonical_json({**image.manifest, **change}))
    layout.put_bytes("", b"{}")
    with pytest.raises(ImageError):
        read_image(layout, descriptor)


def test_a_manifest_with_a_key_twice_is_refused(layout: Layout) -> None:
    twice = add_image(layout, {"a": b""}).manifest_bytes.replace(b"{", b'{"layers":[],', 1)
    with pytest.raises(ImageError, match="twice"):
        read_image(layout, layout.put_bytes(media_types.OCI_MANIFEST, twice))


def test_a_key_twice_among_many_is_found_in_linear_time() -> None:
    """Three megabytes of keys held a process for over a minute. Here no more comparisons than keys are made."""
    keys = [*map(Counting, range(5000)), Counting(4999)]
    Counting.count = 0
    with pytest.raises(ValueError, match="occurs twice"):
        strict_json._unique([(key, None) for key in keys])
    assert Counting.count < 5 * len(keys)


class Counting(str):
    """A key that counts how often it was compared."""

    count = 0

    def __new__(cls, number: int) -> Counting:
        return super().__new__(cls, f"key{number}")

    __hash__ = str.__hash__

    def __eq__(self, other: object) -> bool:
        Counting.count += 1
        return str.__eq__(self, other)


def test_a_huge_manifest_is_not_read(layout: Layout) -> None:
    with pytest.raises(ImageError, match="at most"):
        read_image(layout, layout.put_bytes(media_types.OCI_MANIFEST, b" " * (4 << 20) + b"{}"))


def test_an_image_is_read_as_it_was_made(layout: Layout) -> None:
    image = add_image(layout, {"a": b"1"}, {"b": b"2"})
    layout.tag(image.descriptor, Reference.parse("example.com/x:1"))
    assert replace(read_image(layout), descriptor=image.descriptor) == image


def test_an_index_holds_images_for_several_platforms(layout: Layout) -> None:
    wanted = [Platform("linux", "amd64"), Platform("linux", "arm", "v7"), Platform("linux", "arm", "v6"),
              Platform("linux", "arm64", "v8")]
    images = [assemble(layout, None, add_layer(layout, {"p": str(p).encode()}), ImageSettings(RunConfig(), p))
              for p in wanted]  # fmt: skip
    layout.tag(write_index(layout, images), Reference.parse("example.com/x:1"))
    chosen = {text: read_image(layout, None, Platform.parse(text)).platform for text in (
        "linux/amd64", "linux/amd64/v1", "linux/arm/v8", "linux/arm/v6", "linux/arm64")}
    assert chosen == {"linux/amd64": wanted[0], "linux/amd64/v1": wanted[0], "linux/arm/v8": wanted[1],
                      "linux/arm/v6": wanted[2], "linux/arm64": wanted[3]}
    for platform in (None, Platform.parse("linux/s390x"), Platform.parse("linux/arm/v5")):
        with pytest.raises(ImageError, match="the index has no"):
            read_image(layout, None, platform)
    raw = json.loads(run("skopeo", "inspect", "--raw", f"oci:{layout.root}:1"))
    assert [entry["platform"] for entry in raw["manifests"]] == [platform.to_json() for platform in wanted]


def test_attestations_in_an_index_are_no_images(layout: Layout) -> None:
    image = add_image(layout, {"a": b""})
    attestation = {**image.descriptor.to_json(), "platform": {"os": "unknown", "architecture": "unknown"},
                   "annotations": dict([keys.DOCKER_ATTESTATION])}
    manifests = [attestation, image.descriptor.to_json()]
    index = canonical_json({"schemaVersion": 2, "mediaType": media_types.OCI_INDEX, "manifests": manifests})
    assert read_image(layout, layout.put_bytes(media_types.OCI_INDEX, index)).descriptor == image.descriptor


def test_indexes_that_go_on_for_ever_are_refused(layout: Layout) -> None:
    descriptor = add_image(layout, {"a": b""}).descriptor
    for _ in range(4):
        index = {"schemaVersion": 2, "mediaType": media_types.OCI_INDEX, "manifests": [descriptor.to_json()]}
        descriptor = layout.put_bytes(media_types.OCI_INDEX, canonical_json(index))
    with pytest.raises(ImageError, match="nested too deeply"):
        read_image(layout, descriptor)
