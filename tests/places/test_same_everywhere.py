"""The same image in every kind of place: every command that reads one gives the same answer, and nothing is lost."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from tests.support import engines
from tests.support.forked import Forked
from tests.support.layouts import DOCKER_MANIFEST, FULL_NAME, MANIFEST, REF_NAME, Handmade, on, tar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from assembler.engine.client import Engine
    from tests.support.debian_registry import DebianRegistry
    from tests.support.layouts import Json
    from tests.support.thin import Imgasm

LOWER, UPPER = tar({"word": b"one\n" * 5000, "kept": b"k" * 700}), tar({"word": b"two\n"})
ANNOTATIONS = {"org.opencontainers.image.title": "kept", "example.com/kernel": "6.1"}


def annotated(made: Handmade) -> Json:
    return made.image(LOWER, UPPER, annotations=ANNOTATIONS)


def of_docker(made: Handmade) -> Json:
    return made.image(LOWER, UPPER, docker=True)


def by_buildx(made: Handmade) -> Json:
    image = on("linux/amd64", made.image(LOWER, UPPER, annotations=ANNOTATIONS))
    other = on("linux/arm64", made.image(UPPER, architecture="arm64"))
    return made.index(image, made.attestation(image), other, annotations={"example.com/of": "the index"})


def without_layers(made: Handmade) -> Json:
    return made.image()


def old_config(made: Handmade) -> Json:
    """As old Ubuntu images in Docker's registry."""
    return made.image(LOWER, docker=True, config="application/octet-stream")


IMAGES: dict[str, Callable[[Handmade], Json]] = {
    "annotated": annotated, "docker": of_docker, "buildx": by_buildx, "no layers": without_layers,
    "octet-stream": old_config,
}  # fmt: skip


@dataclass(frozen=True)
class Everywhere:
    """``places``: each was filled from the one before; but the tar beside the first one was made by GNU tar."""

    imgasm: Imgasm
    digest: str
    places: list[str]


@pytest.fixture(scope="module", params=IMAGES)
def everywhere(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, registry: DebianRegistry
) -> Everywhere:
    directory = tmp_path_factory.mktemp("everywhere")
    imgasm, made = Forked(directory), Handmade(directory / "in")
    digest = made.name(IMAGES[request.param](made), "v1")["digest"]
    made.archive(directory / "in.tar")
    there = f"{registry.host}/everywhere/{request.param.replace(' ', '-')}:v1"
    way = ["in", there, "./again", "oci-archive:whole.tar", f"{there}-2"]
    for source, target in pairwise(way):
        assert imgasm.json("copy", source, target)["digest"] == digest
    return Everywhere(imgasm, digest, ["in.tar", *way])


def test_19_every_reading_command_gives_the_same_answer(everywhere: Everywhere) -> None:
    imgasm, reports, findings = everywhere.imgasm, [], []
    for place in everywhere.places:
        report = imgasm.json("size-report", place, "--deep", "--platform", "linux/amd64")
        reports.append({key: value for key, value in report.items() if key != "name"})
        found = json.loads(imgasm("verify", place, "--json").stdout)
        findings.append([one["what"] for one in found if one["severity"] != "note"])
        compared = imgasm.json("compare", "in", place, "--deep", "--platform", "linux/amd64")
        assert compared["paths"] == [] and compared["before"]["compressed"] == compared["after"]["compressed"]
        assert compared["before"]["uncompressed"] == compared["after"]["uncompressed"]
    assert reports == [reports[0]] * len(reports)
    assert findings == [[]] * len(findings)


def test_19_every_place_can_be_pushed_and_keeps_the_digest(everywhere: Everywhere, registry: DebianRegistry) -> None:
    for number, place in enumerate(everywhere.places):
        (pushed,) = everywhere.imgasm.json("push", place, f"{registry.host}/pushed:{number}")
        assert pushed["digest"] == everywhere.digest


def test_16_nothing_is_lost_on_the_way(everywhere: Everywhere) -> None:
    """Every document and every blob of the layout at the end, to the byte; and the name, where a place can hold it."""
    directory = everywhere.imgasm.directory
    for number, place in enumerate(everywhere.places):
        everywhere.imgasm("copy", place, f"./back{number}")
        back = directory / f"back{number}"
        assert blobs(back) == blobs(directory / "in")
        (entry,) = json.loads((back / "index.json").read_bytes())["manifests"]
        assert entry["digest"] == everywhere.digest and entry["annotations"][REF_NAME].startswith("v1")


def blobs(layout: Any) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (layout / "blobs" / "sha256").iterdir()}


@pytest.mark.engine
@pytest.mark.parametrize("kind", ["annotated", "docker", "buildx"])
def test_19_an_engine_gives_the_same_answer(engine: Engine, imgasm: Imgasm, made: Handmade, kind: str) -> None:
    """But for what lies uncompressed in an engine: its size, and so its digest."""
    made.name(IMAGES[kind](made), "v1")
    made.save()
    name = f"{TRANSPORT[engine.name]}:localhost/everywhere-{kind.replace(' ', '-')}:1"
    imgasm("copy", "in", name)
    assert imgasm.json("load", name, "--engine", engine.name)[0]["reference"].startswith("localhost/everywhere")
    reports = [imgasm.json("size-report", place, "--platform", "linux/amd64") for place in ("in", name)]
    assert [one["platform"] for one in reports] == ["linux/amd64"] * 2
    here, there = ([layer["files"] for layer in one["layers"]] for one in reports)
    assert here == there
    assert reports[0]["contents"]["files"] == reports[1]["contents"]["files"]
    assert imgasm.json("compare", "in", name, "--platform", "linux/amd64")["paths"] == []
    imgasm("verify", name)


@pytest.mark.engine
def test_20_an_image_without_layers_is_loaded(engine: Engine, imgasm: Imgasm, made: Handmade) -> None:
    """Docker saves none of them, and says so."""
    made.name(without_layers(made), "v1")
    made.save()
    name = f"{TRANSPORT[engine.name]}:localhost/without-layers:1"
    imgasm("copy", "in", name)
    if engine.name == "podman":
        assert imgasm.json("size-report", name)["layers"] == []
    else:
        assert "can't save an image without layers" in imgasm("size-report", name, status=5).stderr


TRANSPORT = {"docker": "docker-daemon", "podman": "containers-storage"}


@pytest.fixture
def podman(tmp_path: Path) -> Iterator[Engine]:
    with engines.podman(tmp_path) as engine:
        yield engine


@pytest.mark.engine
def test_16_podmans_store_gives_the_manifests_annotations_back(
    podman: Engine, imgasm: Imgasm, made: Handmade, registry: DebianRegistry
) -> None:
    made.name(annotated(made), "v1")
    made.save()
    place = "containers-storage:localhost/annotated:1"
    imgasm("copy", "in", place)
    for target, skopeo in (("./back", "oci:back:localhost/annotated:1"), ("back.tar", "oci-archive:back.tar"),
                           (f"{registry.host}/annotated:1", f"docker://{registry.host}/annotated:1")):
        imgasm("copy", place, target)
        assert raw(imgasm, skopeo)["annotations"] == ANNOTATIONS


def raw(imgasm: Imgasm, place: str) -> Any:
    tls = ["--tls-verify=false"] if place.startswith("docker:") else []
    done = subprocess.run(["skopeo", "inspect", "--raw", *tls, place], cwd=imgasm.directory, capture_output=True,
                          text=True, check=True)
    return json.loads(done.stdout)


def test_16_plain_layers_are_compressed_and_the_rest_of_the_manifest_stays(imgasm: Imgasm, made: Handmade) -> None:
    image = made.image(LOWER, plain=True, annotations=ANNOTATIONS)
    made.name(made.index(on("linux/amd64", image), made.attestation(image)), "v1")
    made.archive(imgasm.directory / "in.tar")
    imgasm("copy", "in.tar", "./out")
    root = raw(imgasm, "oci:out:v1")
    assert root["manifests"][1]["annotations"]["vnd.docker.reference.digest"] == root["manifests"][0]["digest"]
    manifest = blobs(imgasm.directory / "out")[root["manifests"][0]["digest"].removeprefix("sha256:")]
    assert json.loads(manifest)["annotations"] == ANNOTATIONS
    assert json.loads(manifest)["layers"][0]["mediaType"].endswith("+gzip")
    imgasm("verify", "out")


def test_16_dockers_manifest_keeps_its_digest_through_an_archive(imgasm: Imgasm, made: Handmade) -> None:
    image = made.name(of_docker(made), "v1")
    made.save()
    imgasm("copy", "in", "one.tar")
    assert imgasm.json("copy", "one.tar", "./out")["digest"] == image["digest"]
    (entry,) = json.loads((imgasm.directory / "out/index.json").read_bytes())["manifests"]
    assert entry["mediaType"] == DOCKER_MANIFEST


def test_19_skopeo_reads_the_index_in_an_archive(imgasm: Imgasm, made: Handmade) -> None:
    made.name(by_buildx(made), "v1")
    made.save()
    imgasm("copy", "in", "oci-archive:whole.tar")
    assert len(raw(imgasm, "oci-archive:whole.tar")["manifests"]) == 3
    subprocess.run(["skopeo", "copy", "-q", "docker-archive:whole.tar", "dir:out"], cwd=imgasm.directory, check=True)
    imgasm("copy", "in", "docker-archive:one.tar:example.com/x:1")
    assert raw(imgasm, "oci-archive:one.tar")["mediaType"] == MANIFEST
    layouts = json.loads(subprocess.run(["tar", "-xOf", "one.tar", "index.json"], cwd=imgasm.directory,
                                        capture_output=True, check=True).stdout)
    assert layouts["manifests"][0]["annotations"][FULL_NAME] == "example.com/x:1"
