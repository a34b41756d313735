"""Images and other things that are rare and right: they are read, or it is said what they are."""

from __future__ import annotations

import json
import subprocess
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.layouts import CONFIG, MANIFEST, Handmade, on, tar

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from assembler.engine.client import Engine
    from tests.support.debian_registry import DebianRegistry
    from tests.support.layouts import Json
    from tests.support.thin import Imgasm

WORD = tar({"word": b"x"})


def cosign_signature(made: Handmade) -> Json:
    """As ``cosign sign`` pushes it: its config is called an image's."""
    payload = made.blob("application/vnd.dev.cosign.simplesigning.v1+json", b'{"critical": {}}')
    config = made.document(CONFIG, {"architecture": "", "os": "", "config": {}, "rootfs": {
        "type": "layers", "diff_ids": [payload["digest"]]}})
    return made.document(MANIFEST, {"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [
        {**payload, "annotations": {"dev.cosignproject.cosign/signature": "MEUCIQ=="}}]})


def helm_chart(made: Handmade) -> Json:
    config = made.document("application/vnd.cncf.helm.config.v1+json", {"name": "chart"})
    return made.document(MANIFEST, {"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [
        made.blob("application/vnd.cncf.helm.chart.content.v1.tar+gzip", b"\x1f\x8b not checked")]})


def sbom(made: Handmade) -> Json:
    """As ``oras attach`` pushes it."""
    empty = made.blob("application/vnd.oci.empty.v1+json", b"{}")
    return made.document(MANIFEST, {
        "schemaVersion": 2, "mediaType": MANIFEST, "artifactType": "application/spdx+json", "config": empty,
        "layers": [made.blob("application/spdx+json", b'{"spdxVersion": "SPDX-2.3"}')]})


def old_artifact(made: Handmade) -> Json:
    config = made.blob("application/octet-stream", b"anything")
    return made.document(MANIFEST, {"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [
        made.blob("application/octet-stream", WORD)]})


ARTIFACTS: dict[str, tuple[Callable[[Handmade], Json], str]] = {
    "cosign": (cosign_signature, "is a cosign signature, and no image"),
    "helm": (helm_chart, "is a Helm chart, and no image"),
    "sbom": (sbom, "is an artifact of the type application/spdx+json, and no image"),
    "octets": (old_artifact, "is an artifact whose contents are application/octet-stream, and no image"),
}


@pytest.mark.parametrize("kind", ARTIFACTS)
def test_20_an_artifact_is_copied_and_said_to_be_one(
    imgasm: Imgasm, made: Handmade, registry: DebianRegistry, kind: str
) -> None:
    make, what = ARTIFACTS[kind]
    artifact = made.name(make(made), "v1")
    made.save()
    there = f"{registry.host}/artifacts:{kind}"
    places = ["in", there, "oci-archive:whole.tar", "./out"] if kind != "helm" else ["in", there, "./out"]
    for source, target in pairwise(places):
        assert imgasm.json("copy", source, target)["digest"] == artifact["digest"]
    for place in places:
        for command in (("size-report", place), ("size-report", place, "--deep"), ("compare", place, place)):
            said = imgasm(*command, status=8).stderr
            assert what in said and "Traceback" not in said and "damaged" not in said
        found = json.loads(imgasm("verify", place, "--json").stdout)
        assert [one["severity"] for one in found] == ["warning"] and "is not checked as an image" in found[0]["what"]
    assert what in imgasm("copy", "in", "docker-archive:no.tar", status=8).stderr


def test_20_an_image_without_layers_is_an_image(
    imgasm: Imgasm, tmp_path: Path, registry: DebianRegistry
) -> None:
    """``umoci new`` makes one; so does FROM scratch with a LABEL."""
    for command in (["init", "--layout", "new"], ["new", "--image", "new:v1"]):
        subprocess.run(["umoci", *command], cwd=tmp_path, check=True, capture_output=True)
    there = f"{registry.host}/without-layers:1"
    for source, target in pairwise(places := ["new", there, "new.tar", "./out"]):
        imgasm("copy", source, target)
    for place in places:
        report = imgasm.json("size-report", place, "--html", "page.html")
        assert report["layers"] == []
        assert "0 layers" in imgasm("size-report", place).stdout
        assert imgasm.json("compare", "new", place)["paths"] in ([], None)
        imgasm("verify", place)
    (tmp_path / "recipe.toml").write_text("""
name = "on"
[base]
layout = "new"
[[file]]
path = "/word"
content = "x"
[[image]]
name = "on"
""")
    imgasm("build", "recipe.toml")
    assert [layer["bytes"] for layer in imgasm.json("size-report", "oci:build/on")["layers"]] == [1]


def foreign(made: Handmade, *, is_here: bool = False) -> Json:
    image = made.image(WORD)
    path = made.root / "blobs/sha256"
    manifest = json.loads((path / image["digest"][7:]).read_bytes())
    layer = manifest["layers"][0]
    layer |= {"mediaType": "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
              "urls": ["https://example.com/layer"]}
    if not is_here:
        (path / layer["digest"][7:]).unlink()
    return made.document(MANIFEST, manifest)


def test_20_a_layer_that_stays_where_its_urls_say_is_needed_nowhere(
    imgasm: Imgasm, made: Handmade, registry: DebianRegistry
) -> None:
    image = made.name(foreign(made), "v1")
    made.save()
    there = f"{registry.host}/foreign:1"
    for source, target in pairwise(places := ["in", there, "oci-archive:f.tar", "./out"]):
        assert imgasm.json("copy", source, target)["digest"] == image["digest"]
    imgasm("push", "in", f"{registry.host}/foreign:2")
    for place in places:
        assert "only the manifest was read" in imgasm("size-report", place).stdout
        said = imgasm("size-report", place, "--deep", status=8).stderr
        assert "is not distributed with the image" in said and "https://example.com/layer" in said
        assert "were not checked" in imgasm("verify", place).stderr


def test_20_a_foreign_layer_that_is_here_goes_along(imgasm: Imgasm, made: Handmade, registry: DebianRegistry) -> None:
    made.name(foreign(made, is_here=True), "v1")
    made.save()
    for source, target in pairwise(["in", f"{registry.host}/foreign:here", "./out"]):
        imgasm("copy", source, target)
    assert imgasm.json("size-report", "out")["contents"]["bytes"] == 1


def test_20_images_that_an_archive_leaves_out_of_its_index_are_not_needed(imgasm: Imgasm, made: Handmade) -> None:
    """As ``ctr export`` and ``docker save`` write one image of several platforms."""
    here, gone = made.image(WORD), made.image(tar({"a": b"a"}), architecture="arm64")
    (made.root / "blobs/sha256" / gone["digest"][7:]).unlink()
    made.name(made.index(on("linux/amd64", here), on("linux/arm64", gone)), "v1")
    made.archive(imgasm.directory / "in.tar")
    for what in ("in", "in.tar"):
        assert imgasm.json("size-report", what, "--platform", "linux/amd64")["manifest"] == here["digest"]
        assert imgasm.json("copy", what, f"./{what}-one", "--platform", "linux/amd64")["digest"] == here["digest"]
        said = imgasm("copy", what, "./whole", status=8).stderr
        assert gone["digest"] in said and "--platform: linux/amd64" in said


# 10


@pytest.mark.engine
@pytest.mark.parametrize("command", ["size-report", "verify", "copy"])
def test_10_an_image_that_the_engine_lacks_is_said_to_be_lacking(engine: Engine, imgasm: Imgasm, command: str) -> None:
    place = {"docker": "docker-daemon", "podman": "containers-storage"}[engine.name] + ":localhost/no-such:1"
    said = imgasm(command, place, *(["./out"] if command == "copy" else []), status=5).stderr
    assert "localhost/no-such:1" in said and "manifest.json" not in said and "Pull it first" in said


@pytest.mark.parametrize("archive", [False, True])
def test_10_an_empty_layout_is_no_success(
    imgasm: Imgasm, made: Handmade, registry: DebianRegistry, archive: bool
) -> None:
    made.archive(imgasm.directory / "in.tar")
    what = "in.tar" if archive else "in"
    for command in (("push", what), ("push", what, f"{registry.host}/empty:1"), ("copy", what, "./out"),
                    ("size-report", what), ("push", what, "--index", f"{registry.host}/empty:1")):
        assert "holds no image" in imgasm(*command, status=8).stderr


@pytest.mark.engine
def test_10_load_of_an_empty_layout_is_no_success(engine: Engine, imgasm: Imgasm, made: Handmade) -> None:
    made.save()
    assert "holds no image" in imgasm("load", "in", "--engine", engine.name, status=8).stderr


# 18


def test_18_an_index_does_not_depend_on_when_its_images_were_built(imgasm: Imgasm, registry: DebianRegistry) -> None:
    digests = set()
    for turn, order in enumerate([(0, 1, 2), (2, 1, 0), (1, 2, 0)]):
        made = Handmade(imgasm.directory / f"turn{turn}")
        images = [made.image(tar({"a": b"a"}), architecture="arm64"),
                  made.image(tar({"a": b"6.6"}), annotations={"kernel": "6.6"}),
                  made.image(tar({"a": b"6.1"}), annotations={"kernel": "6.1"})]
        for number in order:
            made.name(images[number], f"{registry.host}/ordered:{number}")
        made.save()
        (pushed,) = imgasm.json("push", f"turn{turn}", "--index", f"{registry.host}/ordered:all")
        digests.add(pushed["digest"])
    assert len(digests) == 1
    entries = raw(f"{registry.host}/ordered:all")["manifests"]
    assert "io.imgasm.signpost" in entries[0]["annotations"], "there are two for one platform"
    assert [(entry["platform"]["architecture"], entry.get("annotations")) for entry in entries[1:]] == [
        ("amd64", {"kernel": "6.1"}), ("amd64", {"kernel": "6.6"}), ("arm64", None)]


def test_18_tags_that_an_index_leaves_behind_are_told(imgasm: Imgasm, made: Handmade, registry: DebianRegistry) -> None:
    for number in (1, 2):
        made.name(made.image(tar({"a": bytes([number])})), f"{registry.host}/built-for:{number}")
    made.save()
    said = imgasm("push", "in", "--index", f"{registry.host}/other:all").stderr
    assert all(f"{registry.host}/built-for:{number} keeps its tag" in said for number in (1, 2))
    assert "keeps its tag" not in imgasm("push", "in", "--index", f"{registry.host}/built-for:all").stderr
    assert raw(f"{registry.host}/built-for:2")["layers"]


def test_18_what_was_not_read_is_no_change(imgasm: Imgasm, made: Handmade, registry: DebianRegistry) -> None:
    made.name(made.image(tar({"word": b"word" * 3000})), "v1")
    made.save()
    imgasm("copy", "in", f"{registry.host}/one-layer:1")
    for pair in (("in", f"{registry.host}/one-layer:1"), (f"{registry.host}/one-layer:1", "in")):
        said = imgasm("compare", *pair).stdout
        assert "unpacked" not in said and "compressed" in said
        compared = imgasm.json("compare", *pair)
        assert None in (compared["before"]["uncompressed"], compared["after"]["uncompressed"])
    report = imgasm("size-report", f"{registry.host}/one-layer:1", "--markdown", "--html", "page.html").stdout
    assert " 0 B" not in report


def raw(reference: str) -> Any:
    done = subprocess.run(["skopeo", "inspect", "--raw", "--tls-verify=false", f"docker://{reference}"],
                          capture_output=True, text=True, check=True)
    return json.loads(done.stdout)
