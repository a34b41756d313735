"""Archives that other tools load, archives that other tools saved, and archives that nobody should have made."""

from __future__ import annotations

import gzip
import io
import json
import os
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from imagemaking import add_image, run, tarball

from assembler.errors import ImageError
from assembler.image.image import Image, read_image
from assembler.image.index_entries import group, references
from assembler.image.layout import Layout
from assembler.image.read_archive import read_archive
from assembler.image.write_archive import write_archive
from assembler.layer.compress import compressor
from assembler.model.descriptor import canonical_json
from assembler.model.digest import Digest
from assembler.model.reference import Reference

NAME = Reference.parse("example.com/team/tool:v1")
LOWER, UPPER = tarball({"a": None, "a/lower": b"1" * 70_000}), tarball({"a/upper": b"2"})


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout.create(tmp_path / "layout")


@pytest.fixture
def other(tmp_path: Path) -> Layout:
    return Layout.create(tmp_path / "other")


def archive(layout: Layout, image: Image, *references: Reference, plain_layers: bool = False) -> bytes:
    sink = io.BytesIO()
    write_archive(layout, [(image, references)], sink, plain_layers=plain_layers)
    return sink.getvalue()


@dataclass(frozen=True)
class Loaded:
    image: Image
    references: tuple[Reference, ...]


def load(data: bytes, layout: Layout, codec: str = "zstd") -> list[Loaded]:
    entries = read_archive(io.BytesIO(data), layout, lambda: compressor(codec))
    return [Loaded(read_image(layout, alike[0]), references(alike)) for alike in group(entries)]


@pytest.mark.parametrize("codec", ["gzip", "zstd", "none"])
def test_skopeo_reads_both_faces_of_the_archive(layout: Layout, tmp_path: Path, codec: str) -> None:
    file = tmp_path / "image.tar"
    file.write_bytes(archive(layout, add_image(layout, LOWER, UPPER, codec=codec), NAME))
    for form in ("oci-archive", "docker-archive"):
        run("skopeo", "copy", f"{form}:{file}", f"dir:{tmp_path / form}")
        assert (tmp_path / form / "manifest.json").is_file()


@pytest.mark.parametrize("codec", ["gzip", "zstd"])
def test_every_byte_of_the_tar_is_determined(layout: Layout, codec: str) -> None:
    image = add_image(layout, LOWER, UPPER, codec=codec)
    data = archive(layout, image, NAME)
    assert data == archive(layout, image, NAME)
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        members = tar.getmembers()
    assert [m.name for m in members] == sorted(m.name for m in members)
    assert {(m.uid, m.gid, m.mtime, m.uname, m.gname) for m in members} == {(0, 0, 0, "", "")}
    assert {m.mode for m in members if m.isdir()} == {0o755} and {m.mode for m in members if m.isreg()} == {0o644}
    listing = subprocess.run(["tar", "-t"], input=data, check=True, capture_output=True)
    assert listing.stderr == b""


@pytest.mark.parametrize("codec", ["gzip", "zstd", "none"])
def test_an_image_survives_the_archive_with_its_digest(layout: Layout, other: Layout, codec: str) -> None:
    image = add_image(layout, LOWER, UPPER, codec=codec)
    (loaded,) = load(archive(layout, image, NAME), other, "none")
    assert loaded.image.descriptor.digest == image.descriptor.digest
    assert loaded.references == (NAME,)
    assert all(other.has(layer) for layer, _ in loaded.image.layers)


def test_plain_layers_for_docker_20_10_keep_the_config(layout: Layout, other: Layout) -> None:
    image = add_image(layout, LOWER, UPPER, codec="zstd")
    (loaded,) = load(archive(layout, image, NAME, plain_layers=True), other, "none")
    assert loaded.image.config_bytes == image.config_bytes
    assert [other.read(layer) for layer, _ in loaded.image.layers] == [LOWER, UPPER]
    gzipped = add_image(layout, LOWER, codec="gzip")
    assert archive(layout, gzipped, plain_layers=True) == archive(layout, gzipped)


def test_plain_layers_are_compressed_when_they_are_read(layout: Layout, other: Layout) -> None:
    image = add_image(layout, LOWER, codec="none")
    (loaded,) = load(archive(layout, image), other)
    ((layer, diff_id),) = loaded.image.layers
    assert layer.media_type.endswith("+zstd") and layer.size < len(LOWER) and diff_id == Digest.of(LOWER)
    assert loaded.image.config_bytes == image.config_bytes
    assert loaded.references == ()


def test_several_images_share_their_blobs(layout: Layout, other: Layout) -> None:
    one, two = add_image(layout, LOWER), add_image(layout, LOWER, UPPER)
    second = Reference.parse("two:2")
    sink = io.BytesIO()
    write_archive(layout, [(one, [NAME]), (two, [second, Reference.parse("two")])], sink)
    loaded = load(sink.getvalue(), other)
    assert [each.image.descriptor.digest for each in loaded] == [one.descriptor.digest, two.descriptor.digest]
    assert [list(map(str, each.references)) for each in loaded] == [
        [str(NAME)], ["docker.io/library/two:2", "docker.io/library/two:latest"]]
    assert set(other.blobs()) == set(layout.blobs())


def test_an_incomplete_image_is_not_written(layout: Layout) -> None:
    image = add_image(layout, LOWER)
    layout.path(image.layers[0][0].digest).unlink()
    with pytest.raises(ImageError, match="no whole blob"):
        archive(layout, image)


def test_a_layer_that_is_not_its_diff_id_is_not_written_plain(layout: Layout) -> None:
    broken = add_image(layout, UPPER, codec="zstd")
    wrong = Image(broken.descriptor, broken.manifest, broken.manifest_bytes, broken.config_descriptor, broken.config,
                  broken.config_bytes, ((broken.layers[0][0], Digest.of(b"other")),))
    with pytest.raises(ImageError, match="does not hold"):
        archive(layout, wrong, plain_layers=True)


# What other tools saved


@pytest.mark.parametrize("form", ["docker-archive", "oci-archive"])
def test_skopeos_archives_are_read(layout: Layout, other: Layout, tmp_path: Path, form: str) -> None:
    image = add_image(layout, LOWER, UPPER)
    layout.tag(image.descriptor, NAME)
    run("skopeo", "copy", f"oci:{layout.root}:v1", f"{form}:{tmp_path / 'saved'}:{NAME}")
    (loaded,) = load((tmp_path / "saved").read_bytes(), other)
    assert [diff_id for _, diff_id in loaded.image.layers] == [Digest.of(LOWER), Digest.of(UPPER)]
    run("skopeo", "copy", f"{form}:{tmp_path / 'saved'}", f"dir:{tmp_path / 'dir'}")


def saved(image: Image, *, layers: dict[str, bytes], names: list[str], extra: Any = None, **changes: Any) -> bytes:
    """A tar as ``docker save`` makes it: ``layers`` and the config, then manifest.json at the end."""
    entry = {"Config": "config.json", "RepoTags": [str(NAME)], "Layers": names, **changes}
    files = {**layers, "config.json": image.config_bytes, "manifest.json": canonical_json([entry]), **(extra or {})}
    return tarball(files)


def test_the_form_of_docker_20_10_with_a_layer_twice(layout: Layout, other: Layout) -> None:
    image = add_image(layout, LOWER, UPPER, LOWER)
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w") as tar:
        def add(name: str, data: bytes, link: str = "") -> None:
            info = tarfile.TarInfo(name)
            info.size, info.linkname, info.type = len(data), link, tarfile.SYMTYPE if link else tarfile.REGTYPE
            tar.addfile(info, io.BytesIO(data))

        for number, layer in enumerate((LOWER, UPPER, b"")):
            add(f"{number}/VERSION", b"1.0")
            add(f"{number}/json", b'{"id":"0"}')
            add(f"{number}/layer.tar", layer, "" if layer else "../0/layer.tar")
        add("abc.json", image.config_bytes)
        entry = {"Config": "abc.json", "RepoTags": None, "Layers": [f"{number}/layer.tar" for number in range(3)]}
        add("manifest.json", canonical_json([entry]))
        add("repositories", b"{}")
    (loaded,) = load(sink.getvalue(), other)
    assert [diff_id for _, diff_id in loaded.image.layers] == [Digest.of(LOWER), Digest.of(UPPER), Digest.of(LOWER)]


def test_a_whole_archive_in_gzip_and_layers_of_every_codec(layout: Layout, other: Layout) -> None:
    image = add_image(layout, LOWER, UPPER)
    data = saved(image, layers={"l": gzip.compress(LOWER), "u": UPPER}, names=["l", "u"])
    (loaded,) = load(gzip.compress(data), other)
    assert [layer.media_type.rpartition("+")[2] for layer, _ in loaded.image.layers] == ["gzip", "zstd"]


def test_manifest_json_is_believed_before_an_index_of_docker_25_0(layout: Layout, other: Layout) -> None:
    image = add_image(layout, LOWER, UPPER)
    index = {"index.json": b'{"schemaVersion":2,"manifests":null}', "oci-layout": b"{}"}
    (loaded,) = load(saved(image, layers={"l": LOWER, "u": UPPER}, names=["l", "u"], extra=index), other)
    assert loaded.image.config_bytes == image.config_bytes


# Archives that nobody should have made


def hostile(layout: Layout) -> dict[str, bytes]:
    image = add_image(layout, LOWER, UPPER)
    both, zeros = {"l": LOWER, "u": UPPER}, "blobs/sha256/" + "0" * 64
    good = saved(image, layers=both, names=["l", "u"])
    link = tarfile.TarInfo("l2")
    link.type, link.linkname = tarfile.SYMTYPE, "l2"
    ring = saved(image, layers={"u": UPPER}, names=["l2", "u"])
    return {
        "layers swapped": saved(image, layers=both, names=["u", "l"]),
        "a layer too few": saved(image, layers=both, names=["l"]),
        "a layer that is not there": saved(image, layers=both, names=["l", "x"]),
        "a layer that is the config": saved(image, layers=both, names=["l", "config.json"]),
        "a path out of the archive": saved(image, layers=both, names=["l", "../../../etc/passwd"]),
        "a member out of the archive": tarball({"../x": b"x"}),
        "no manifest": tarball({"l": LOWER}),
        "nothing": b"",
        "noise": b"noise" * 1000,
        "a member twice": good[:-1024] + tarball({"l": LOWER}),
        "cut off": good[:70_000],
        "no config": saved(image, layers=both, names=["l", "u"], Config="nothing.json"),
        "a wrong tag": saved(image, layers=both, names=["l", "u"], RepoTags=["../../x:y"]),
        "a tag that is a number": saved(image, layers=both, names=["l", "u"], RepoTags=[1]),
        "manifest.json is no list": tarball({"manifest.json": b"{}"}),
        "manifest.json is no JSON": tarball({"manifest.json": b"[" * 50_000}),
        "an entry twice in manifest.json": tarball({"manifest.json": b'[{"Config":"a","Config":"b"}]'}),
        "a blob that is not its digest": saved(image, layers=both, names=["l", "u"], extra={zeros: b"x"}),
        "a layer that is not its digest": saved(image, layers=both, names=["l", "u"], extra={zeros: LOWER}),
        "links without end": link.tobuf(format=tarfile.USTAR_FORMAT) + ring,
        "damaged gzip": saved(image, layers={"l": gzip.compress(LOWER)[:-9], "u": UPPER}, names=["l", "u"]),
    }


@pytest.mark.parametrize("case", [
    "layers swapped", "a layer too few", "a layer that is not there", "a layer that is the config",
    "a path out of the archive", "a member out of the archive", "no manifest", "nothing", "noise", "a member twice",
    "cut off", "no config", "a wrong tag", "a tag that is a number", "manifest.json is no list",
    "manifest.json is no JSON", "an entry twice in manifest.json", "a blob that is not its digest",
    "a layer that is not its digest", "links without end", "damaged gzip",
])
def test_hostile_archives_are_errors(layout: Layout, other: Layout, tmp_path: Path, case: str) -> None:
    with pytest.raises(ImageError) as caught:
        load(hostile(layout)[case], other)
    assert caught.value.hint
    assert other.index() == ()
    assert sorted(os.listdir(tmp_path)) == ["layout", "other"]
    assert sorted(os.listdir(other.root)) == ["blobs", "index.json", "oci-layout"]


# Engines


@pytest.fixture
def short_path() -> Iterator[Path]:
    """podman takes no runroot of more than 50 characters."""
    with tempfile.TemporaryDirectory(prefix="p") as path:
        yield Path(path)


@pytest.mark.parametrize(("codec", "form"), [("zstd", "oci-archive"), ("gzip", "docker-archive")])
def test_podman_loads_it_and_what_podman_saves_is_read(
    layout: Layout, other: Layout, tmp_path: Path, short_path: Path, codec: str, form: str
) -> None:
    image = add_image(layout, LOWER, UPPER, codec=codec)
    file = tmp_path / "image.tar"
    file.write_bytes(archive(layout, image, NAME))
    policy = tmp_path / "policy.json"
    policy.write_text('{"default":[{"type":"insecureAcceptAnything"}]}')
    root: list[str | Path] = ["--root", tmp_path / "root", "--runroot", short_path]
    podman = ["podman", "--storage-driver", "vfs", *root]
    printed = run(*podman, "load", "--signature-policy", policy, "-i", file).decode()
    assert str(NAME) in printed
    inspected = json.loads(run(*podman, "image", "inspect", str(NAME)))[0]
    assert inspected["Id"] == image.config_descriptor.digest.hex
    assert inspected["RootFS"]["Layers"] == [str(Digest.of(LOWER)), str(Digest.of(UPPER))]
    (loaded,) = load(run(*podman, "save", "-q", "--format", form, str(NAME)), other)
    assert [diff_id for _, diff_id in loaded.image.layers] == [Digest.of(LOWER), Digest.of(UPPER)]


@pytest.mark.engine
@pytest.mark.parametrize("codec", ["gzip", "zstd", "none"])
def test_docker_loads_it_and_what_docker_saves_is_read(layout: Layout, other: Layout, codec: str) -> None:
    image = add_image(layout, LOWER, UPPER, LOWER, codec=codec)
    name = f"example.com/imgasm-test:{os.getpid()}"
    data = archive(layout, image, Reference.parse(name), plain_layers=True)
    try:
        subprocess.run(["docker", "load", "-q"], input=data, check=True, capture_output=True)
        assert json.loads(run("docker", "image", "inspect", name))[0]["Id"] == str(image.config_descriptor.digest)
        (loaded,) = load(run("docker", "save", name), other)
        assert loaded.image.config_bytes == image.config_bytes
        assert [diff_id for _, diff_id in loaded.image.layers] == [diff_id for _, diff_id in image.layers]
        assert loaded.references == (Reference.parse(name),)
    finally:
        subprocess.run(["docker", "image", "rm", "-f", name], check=False, capture_output=True)
