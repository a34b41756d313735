"""imgasm verify as it is typed: wherever an image is, what it prints, and how it ends."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from assembler.image.image import read_image
from assembler.image.layout import Layout
from assembler.image.recompress import recompress
from assembler.image.write_archive import write_archive
from assembler.model.descriptor import canonical_json
from assembler.model.reference import Reference
from tests.support.debian_registry import debian_registry
from tests.support.thin import Imgasm, busybox, rootfs, write_image

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from assembler.engine.client import Engine
    from tests.support.debian_registry import DebianRegistry

NAME = "example.com/team/tool:1"


@pytest.fixture
def imgasm(tmp_path: Path) -> Imgasm:
    """With a right image, but for waste in its layer, in the layout ``in``."""
    plain, layout = Layout.create(tmp_path / "plain"), Layout.create(tmp_path / "in")
    listed = write_image(plain, NAME, busybox(), rootfs({"opt/word": b"x"}), Cmd=["/bin/cat", "/opt/word"])
    layout.tag(recompress(plain, read_image(plain, listed), layout, "gzip").descriptor, Reference.parse(NAME))
    return Imgasm(tmp_path)


def whiteout_of_nothing(imgasm: Imgasm, place: str, name: str = NAME) -> Layout:
    """A layout with an error in a layer, and a name that would steer a terminal."""
    layout = Layout.create(imgasm.directory / place)
    write_image(layout, name, busybox(), rootfs({"opt/.wh.none": b"", ".wh.\x1b[2J\n": b""}))
    return layout


def errors(findings: list[dict[str, Any]]) -> list[tuple[str, int, list[str]]]:
    return [(one["what"], one["count"], one["paths"]) for one in findings if one["severity"] == "error"]


GHOSTS = [("a whiteout of a path that no layer below has: opt/none, \\x1b[2J\\n", 2, ["opt/none", "\\x1b[2J\\n"])]


def verify_json(imgasm: Imgasm, *arguments: str, status: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(imgasm("verify", *arguments, "--json", status=status).stdout)
    return found


def test_json_comes_whatever_is_wrong(imgasm: Imgasm) -> None:
    assert errors(verify_json(imgasm, "in", status=0)) == []
    assert {one["severity"] for one in verify_json(imgasm, "in", "--strict", status=8)} == {"warning"}

    layout = whiteout_of_nothing(imgasm, "broken")
    stray = layout.put_bytes("", b"stray")
    found = verify_json(imgasm, "broken", status=8)
    assert errors(found) == GHOSTS
    assert all(set(one) == {"severity", "where", "what", "count", "paths"} for one in found)
    assert found[-1] == {"severity": "warning", "where": f"blobs/sha256/{stray.digest.hex}",
                         "what": "5 bytes that no image refers to", "count": 1, "paths": []}


def test_what_is_wrong_is_printed_and_can_not_steer_the_terminal(imgasm: Imgasm) -> None:
    whiteout_of_nothing(imgasm, "broken")
    done = imgasm("verify", "broken", status=8)
    assert done.stdout == "" and "broken has 1 problem" in done.stderr and GHOSTS[0][0] in done.stderr
    assert "\x1b" not in done.stderr


def test_a_layout_without_a_fault(imgasm: Imgasm) -> None:
    header_and_end = rootfs({"opt": None})[:1536]  # without tarfile's padding, which is waste
    write_image(Layout.create(imgasm.directory / "right"), NAME, header_and_end)
    assert imgasm("verify", "right", "--strict").stdout == "nothing is wrong\n"


def test_one_image_of_a_layout(imgasm: Imgasm) -> None:
    whiteout_of_nothing(imgasm, "in", "example.com/team/tool:broken")
    assert errors(verify_json(imgasm, "oci:in", status=8)) == GHOSTS
    assert errors(verify_json(imgasm, "oci:in:broken", status=8)) == GHOSTS
    assert errors(verify_json(imgasm, "oci:in:1", status=0)) == []


@pytest.mark.parametrize("way", ["oci-archive", "docker-archive", "plain"])
def test_archives(imgasm: Imgasm, way: str) -> None:
    whiteout_of_nothing(imgasm, "broken")
    for source, status in (("in", 0), ("broken", 8)):
        if way == "plain":
            imgasm("copy", source, f"{source}.tar")
            place = f"{source}.tar"
        else:
            place = f"{way}:{source}.tar"
            subprocess.run(["skopeo", "copy", "-q", f"oci:{source}:1", f"{place}:example.com/x:1"],
                           cwd=imgasm.directory, check=True)
        assert errors(verify_json(imgasm, place, status=status)) == (GHOSTS if status else [])
    assert not list((imgasm.directory / ".cache").rglob("index.json"))


def test_an_archive_of_several_images(imgasm: Imgasm) -> None:
    whiteout_of_nothing(imgasm, "in", "example.com/team/tool:broken")
    layout = Layout.open(imgasm.directory / "in")
    images = [(read_image(layout, tag), (Reference.parse(f"example.com/x:{tag}"),)) for tag in ("1", "broken")]
    with (imgasm.directory / "both.tar").open("wb") as file:
        write_archive(layout, images, file)
    assert errors(verify_json(imgasm, "both.tar", status=8)) == GHOSTS


def test_an_archive_that_is_none_is_a_finding(imgasm: Imgasm) -> None:
    for content, said in (b"no tar at all" * 100, "is a text file, not an archive"), (bytes(range(256)) * 9, "damaged"):
        (imgasm.directory / "some.tar").write_bytes(content)
        (found,) = verify_json(imgasm, "some.tar", status=8)
        assert found["severity"] == "error" and found["where"] == "some.tar" and said in found["what"]

    (imgasm.directory / "odd.tar").write_bytes(rootfs({"blobs/sha256/\x1b[2J\n": b"{}"}))
    (found,) = verify_json(imgasm, "odd.tar", status=8)
    assert "blobs/sha256/\\x1b[2J\\n in the archive does not match its digest" in found["what"]


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DebianRegistry]:
    with debian_registry(tmp_path_factory.mktemp("registry")) as registry:
        yield registry


def test_a_reference_in_a_registry(imgasm: Imgasm, registry: DebianRegistry) -> None:
    whiteout_of_nothing(imgasm, "broken")
    imgasm("copy", "in", f"{registry.host}/verified:right")
    imgasm("copy", "broken", f"{registry.host}/verified:broken")
    assert errors(verify_json(imgasm, f"{registry.host}/verified:right", status=0)) == []
    assert errors(verify_json(imgasm, f"docker://{registry.host}/verified:broken", status=8)) == GHOSTS


def test_all_images_of_an_index_in_a_registry_or_one(imgasm: Imgasm, registry: DebianRegistry) -> None:
    whiteout_of_nothing(imgasm, "in", "example.com/team/tool:broken")
    layout = Layout.open(imgasm.directory / "in")
    right, broken = (layout.find(tag) for tag in ("1", "broken"))
    platforms = ({"os": "linux", "architecture": "amd64"}, {"os": "linux", "architecture": "arm64"})
    entries = [replace(entry, annotations={}, extra={"platform": platform})
               for entry, platform in zip((right, broken), platforms, strict=True)]
    media_type = "application/vnd.oci.image.index.v1+json"
    index = layout.put_bytes(media_type, canonical_json({
        "schemaVersion": 2, "mediaType": media_type, "manifests": [entry.to_json() for entry in entries]}))
    layout.tag(index, Reference.parse("example.com/team/all:all"))
    imgasm("copy", "oci:in:all", f"{registry.host}/all:1")
    whole = errors(verify_json(imgasm, f"{registry.host}/all:1", status=8))
    assert [what for what, _, _ in whole if "is for linux/arm64; its config says linux/amd64" in what]
    assert GHOSTS[0] in whole
    assert errors(verify_json(imgasm, f"{registry.host}/all:1", "--platform", "linux/amd64", status=0)) == []


def test_a_platform_is_for_registries(imgasm: Imgasm) -> None:
    assert "Leave it out" in imgasm("verify", "in", "--platform", "linux/amd64", status=2).stderr


@pytest.mark.engine
def test_images_of_engines(engine: Engine, imgasm: Imgasm) -> None:
    place = {"docker": "docker-daemon", "podman": "containers-storage"}[engine.name] + ":localhost/verified:1"
    imgasm("copy", "in", place)
    assert errors(verify_json(imgasm, place, status=0)) == []


@pytest.mark.parametrize("what", [
    "nowhere", "build/nowhere", "./nowhere", "/nowhere", "some.tar", "oci:nowhere", "oci:in.tar:1",
    "oci-archive:nowhere", "docker-archive:no.tar", "My Build",
])
def test_a_path_that_is_not_there_is_told_with_what_could_be(imgasm: Imgasm, what: str) -> None:
    said = imgasm("verify", what, status=2).stderr
    assert "error: There is nothing at" in said
    assert "Name a build's directory or another OCI layout" in said and "reference in a registry" in said


def test_a_directory_that_is_no_layout(imgasm: Imgasm) -> None:
    (imgasm.directory / "empty").mkdir()
    assert "is not an OCI layout" in imgasm("verify", "empty", status=8).stderr


def test_help_says_what_is_proved(imgasm: Imgasm) -> None:
    said = " ".join(imgasm("verify", "--help").stdout.split())
    assert "proves what it serves" in said and "are ignored" in said
