"""What images are called: names are kept, and none is made up; one of several is chosen in the same words."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from assembler.image.index_entries import called
from assembler.model.descriptor import Descriptor
from assembler.model.digest import Digest
from tests.support.layouts import FULL_NAME, MANIFEST, REF_NAME, Handmade, on, tar

if TYPE_CHECKING:
    from pathlib import Path

    from assembler.engine.client import Engine
    from tests.support.debian_registry import DebianRegistry
    from tests.support.layouts import Json
    from tests.support.thin import Imgasm

DIGEST = "sha256:" + "a" * 64


def one(made: Handmade, word: str = "one", **more: Any) -> Json:
    return made.image(tar({"word": word.encode()}), **more)


def listed(layout: Path) -> list[Json]:
    found: list[Json] = json.loads((layout / "index.json").read_bytes())["manifests"]
    return found


def names(layout: Path) -> list[dict[str, str]]:
    return [entry.get("annotations", {}) for entry in listed(layout)]


# 15


def test_15_names_that_other_tools_wrote_are_kept(imgasm: Imgasm, made: Handmade) -> None:
    image = one(made)
    written = [
        {REF_NAME: "registry.example.com/team/app:1"},
        {REF_NAME: "stable", FULL_NAME: "registry.example.com/team/app:stable"},
        {FULL_NAME: f"registry.example.com/team/app@{DIGEST}"},
        {FULL_NAME: "Not A Reference"},
    ]
    for notes in written:
        made.add(image, **notes)
    made.save()
    imgasm("copy", "in", "all.tar")
    imgasm("copy", "all.tar", "./out")
    assert names(imgasm.directory / "out") == written
    done = subprocess.run(["tar", "-xOf", "all.tar", "manifest.json"], cwd=imgasm.directory, capture_output=True,
                          check=True)
    assert json.loads(done.stdout)[0]["RepoTags"] == [
        "registry.example.com/team/app:1", "registry.example.com/team/app:stable"]


def test_15_an_image_that_has_no_name_gets_none(imgasm: Imgasm, made: Handmade, registry: DebianRegistry) -> None:
    image = one(made)
    made.add(image)
    made.save()
    imgasm("copy", "in", f"{registry.host}/nameless:1")
    imgasm("copy", f"{registry.host}/nameless@{image['digest']}", "./out")
    imgasm("copy", "./out", "out.tar")
    imgasm("copy", "out.tar", "./again")
    assert names(imgasm.directory / "out") == names(imgasm.directory / "again") == [{}]


@pytest.mark.parametrize("tags", [["<none>:<none>"], None, []])
def test_15_what_engines_call_none_is_no_name(imgasm: Imgasm, made: Handmade, tags: list[str] | None) -> None:
    image = one(made)
    manifest = json.loads((made.root / "blobs/sha256" / image["digest"][7:]).read_bytes())
    path = "blobs/sha256/{}".format
    (made.root / "manifest.json").write_text(json.dumps([{
        "Config": path(manifest["config"]["digest"][7:]), "RepoTags": tags,
        "Layers": [path(layer["digest"][7:]) for layer in manifest["layers"]],
    }]))  # fmt: skip
    subprocess.run(["tar", "-cf", "saved.tar", "-C", "in", "blobs", "manifest.json"], cwd=imgasm.directory, check=True)
    imgasm("copy", "saved.tar", "./out")
    assert names(imgasm.directory / "out") == [{}]


@pytest.mark.engine
def test_15_no_name_is_taken_from_the_users_own_image(engine: Engine, imgasm: Imgasm, made: Handmade) -> None:
    mine, other = Handmade(imgasm.directory / "mine"), one(made, "other")
    mine.name(one(mine, "mine"), "1")
    mine.save()
    transport = {"docker": "docker-daemon", "podman": "containers-storage"}[engine.name]
    imgasm("copy", "mine", f"{transport}:localhost/taken:latest")
    mine_is = engine.images.find("localhost/taken:latest")

    made.add(other, **{FULL_NAME: f"localhost/taken@{other['digest']}"})
    made.save()
    (loaded,) = imgasm.json("load", "in", "--engine", engine.name)
    assert loaded["reference"] == "" and loaded["id"] != mine_is
    said = imgasm("copy", "in", f"{transport}:localhost/taken@{other['digest']}").stderr
    assert "loaded without a name" in said
    assert engine.images.find("localhost/taken:latest") == mine_is


@pytest.mark.engine
def test_15_an_image_of_several_names_is_loaded_under_all(engine: Engine, imgasm: Imgasm, made: Handmade) -> None:
    image = one(made, annotations={"example.com/kept": "yes"})
    for name in ("localhost/several:1", "localhost/several/more:2"):
        made.name(image, name)
    made.save()
    loaded = imgasm.json("load", "in", "--engine", engine.name)
    assert [found["reference"] for found in loaded] == ["localhost/several:1", "localhost/several/more:2"]
    assert engine.images.find("localhost/several:1") == engine.images.find("localhost/several/more:2")


# 19


@pytest.fixture
def two(imgasm: Imgasm, made: Handmade) -> Handmade:
    """Two images in the layout ``in``, in ``in.tar``, and in ``saved.tar`` as ``docker save`` has them."""
    made.add(one(made, "first"), **{FULL_NAME: "example.com/team/first:1", REF_NAME: "1"})
    made.name(one(made, "second!"), "example.com/team/second:2")
    made.archive(imgasm.directory / "in.tar")
    return made


@pytest.mark.parametrize(("word", "positions"), [
    ("first", [0]), ("1", [0]), ("example.com/team/first:1", [0]), ("team/first", [0]), ("second", [1]), ("2", [1]),
    ("example.com/team/second", [1]), ("example.com/team/second:2", [1]), ("@1", [1]), ("@2", [2]), ("@4", []),
    ("debian", [2]), ("bookworm", [2]), ("docker.io/library/debian:bookworm", [2]), ("@", []), ("NO NAME", []),
    ("third", []), ("the recipes", [3]), (f"sha256:{3:064x}", [3]), ("latest", []),
])
def test_19_a_word_means_one_image(word: str, positions: list[int]) -> None:
    notes = [
        {FULL_NAME: "example.com/team/first:1", REF_NAME: "1"}, {REF_NAME: "example.com/team/second:2"},
        {FULL_NAME: "docker.io/library/debian:bookworm"}, {"io.imgasm.image.name": "the recipes"},
    ]  # fmt: skip
    digests = [Digest.parse(f"sha256:{number:064x}") for number in range(4)]
    entries = [Descriptor(MANIFEST, digest, 1, note) for digest, note in zip(digests, notes, strict=True)]
    assert called(entries, word) == [entries[position] for position in positions]


@pytest.mark.parametrize(("word", "size"), [("first", 5), ("2", 7), ("@1", 7), ("example.com/team/second", 7)])
def test_19_one_of_several_is_chosen_in_the_same_words(
    imgasm: Imgasm, two: Handmade, registry: DebianRegistry, word: str, size: int
) -> None:
    for what in ("in", "in.tar"):
        report = imgasm.json("size-report", what, "--image", word)
        assert report["contents"]["bytes"] == size
        chosen = report["manifest"]
        assert imgasm.json("push", what, f"{registry.host}/chosen:1", "--image", word)[0]["digest"] == chosen
        assert imgasm.json("copy", what, f"./{chosen[7:12]}", "--image", word)["digest"] == chosen
        assert json.loads(imgasm("verify", what, "--image", word, "--json").stdout) == []
        assert imgasm.json("compare", what, what, "--image", word)["paths"] == []
    for prefix in ("oci:in", "oci-archive:in.tar"):
        assert imgasm.json("size-report", f"{prefix}:{word}")["manifest"] == chosen
        assert imgasm.json("copy", f"{prefix}:{word}", "./named")["digest"] == chosen


def test_19_what_there_is_to_choose_from_is_told(imgasm: Imgasm, two: Handmade, registry: DebianRegistry) -> None:
    for what in ("in", "in.tar"):
        for command in (("size-report", what), ("copy", what, "./out"), ("push", what, f"{registry.host}/none:1")):
            said = imgasm(*command, status=8).stderr
            assert "more than one image" in said and "example.com/team/first:1" in said and "--image" in said
        assert "no image named third" in imgasm("load", what, "--image", "third", status=8).stderr


def test_19_a_reference_in_a_saved_archive_means_what_it_means_to_skopeo(imgasm: Imgasm, made: Handmade) -> None:
    for number in (1, 2):
        made.name(one(made, "x" * number), f"v{number}")
    made.save()
    for tag in ("v1", "v2"):
        subprocess.run(["skopeo", "copy", "-q", f"oci:in:{tag}", f"docker-archive:{tag}.tar:example.com/x:{tag}"],
                       cwd=imgasm.directory, check=True)
        subprocess.run(["skopeo", "copy", "-q", f"oci:in:{tag}", f"oci-archive:{tag}-oci.tar:example.com/x:{tag}"],
                       cwd=imgasm.directory, check=True)
        assert imgasm.json("size-report", f"docker-archive:{tag}.tar:example.com/x:{tag}")["contents"]["bytes"] == int(
            tag[1])
        assert "no image named" in imgasm("size-report", f"docker-archive:{tag}.tar:other:1", status=8).stderr
        imgasm("copy", f"oci-archive:{tag}-oci.tar:example.com/x:{tag}", "./both")
    assert [one[REF_NAME] for one in names(imgasm.directory / "both")] == ["example.com/x:v1", "example.com/x:v2"]


@pytest.mark.parametrize("name", ["v7", "example.com/team/app:7"])
def test_19_a_targets_name_is_where_skopeo_looks_for_it(imgasm: Imgasm, made: Handmade, name: str) -> None:
    image = made.name(one(made), "v1")
    made.save()
    for transport, path in (("oci", "out"), ("oci-archive", "out.tar"), ("docker-archive", "saved.tar")):
        called = name if transport != "docker-archive" else "example.com/team/app:7"
        assert imgasm.json("copy", "in", f"{transport}:{path}:{called}")["digest"] == image["digest"]
        done = subprocess.run(["skopeo", "inspect", "--raw", f"{transport}:{path}:{called}"], cwd=imgasm.directory,
                              capture_output=True, check=True)
        assert json.loads(done.stdout)["layers"]


def test_19_a_flat_list_of_platforms_is_chosen_from(imgasm: Imgasm, made: Handmade, registry: DebianRegistry) -> None:
    """No index over them: index.json itself is one."""
    for architecture in ("amd64", "arm64"):
        made.add(on(f"linux/{architecture}", one(made, architecture * len(architecture), architecture=architecture)))
    made.archive(imgasm.directory / "in.tar")
    for what in ("in", "in.tar"):
        for entry in listed(made.root):
            platform = f"linux/{entry['platform']['architecture']}"
            report = imgasm.json("size-report", what, "--platform", platform)
            assert (report["platform"], report["manifest"]) == (platform, entry["digest"])
            copied = imgasm.json("copy", what, f"./{what}-out", "--platform", platform)
            assert copied["digest"] == entry["digest"]
        said = imgasm("size-report", what, "--platform", "linux/s390x", status=8).stderr
        assert "linux/amd64, linux/arm64" in said and "sha256" not in said and "--platform" in said


def test_19_a_base_is_one_image_of_a_layout_or_an_archive(imgasm: Imgasm, two: Handmade) -> None:
    for number, (base, onto) in enumerate([("oci:in:first", "oci:./in:second"), ("oci-archive:in.tar:first", "base")]):
        (imgasm.directory / "recipe.toml").write_text(f"""
name = "on"
[base]
layout = "{base}"
[[file]]
path = "/new"
content = "new"
[[image]]
name = "on"
onto = "{onto}"
{'keep = ["/new"]' if number == 0 else ''}
""")
        imgasm("build", "recipe.toml", "--output", f"on{number}")
        report = imgasm.json("size-report", f"oci:on{number}")
        assert report["contents"]["bytes"] == (10 if number == 0 else 8)


def test_19_the_readmes_push_knows_which_image_is_meant(
    imgasm: Imgasm, made: Handmade, registry: DebianRegistry
) -> None:
    """``imgasm push build/hello REF`` of a recipe with the images hello and hello-tiny."""
    made.name(one(made), "1")
    made.save()
    (imgasm.directory / "hello.toml").write_text(f"""
name = "hello"
[base]
layout = "in"
[[file]]
path = "/hello"
content = "hello"
[[image]]
name = "hello"
reference = "{registry.host}/elsewhere/greeting:latest"
[[image]]
name = "hello-tiny"
onto = "scratch"
keep = ["/hello"]
""")
    built = imgasm.json("build", "hello.toml")
    digests = {image["name"]: image["manifest"] for image in built["images"]}
    done = imgasm("push", "build/hello", f"{registry.host}/team/hello:1", "--tag", "latest")
    assert digests["hello"] in done.stdout and "pushing hello, one of 2 images" in done.stderr
    for name, digest in digests.items():
        assert imgasm.json("push", "build/hello", f"{registry.host}/team/x:1", "--image", name)[0]["digest"] == digest
        assert imgasm.json("size-report", "build/hello", "--image", name)["images"][0]["manifest"] == digest
        assert imgasm.json("size-report", "oci:build/hello", "--image", name)["manifest"] == digest
        imgasm("verify", "build/hello", "--image", name)
