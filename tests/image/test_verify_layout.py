"""Layouts that are right, layouts that are wrong in one way each, and one that is wrong in every way."""

from __future__ import annotations

import gzip
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st
from imagemaking import add_image, add_layer, pack, run, tarball

from assembler.commands.verify import check_layout, refuse
from assembler.errors import ImageError
from assembler.image.annotations import FULL_NAME, REF_NAME
from assembler.image.blob_origins import with_origins
from assembler.image.image import Image, read_image
from assembler.image.layout import Layout
from assembler.image.verify_layout import verify_layout
from assembler.layer.findings import Finding
from assembler.model import media_types
from assembler.model.descriptor import Descriptor, canonical_json
from assembler.model.digest import Digest
from assembler.model.reference import Reference
from assembler.progress import SilentProgress
from tests.support.engines import podman_release
from tests.support.images import write_index

LOWER, UPPER = tarball({"a": None, "a/lower": b"1"}), tarball({"a/.wh.lower": b"", "b": b"2"})


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout.create(tmp_path / "layout")


def as_the_command(root: Path, progress: SilentProgress, *, strict: bool = False) -> list[Finding]:
    """As ``imgasm verify`` does it."""
    findings = check_layout(root, progress)
    refuse(str(root), findings, strict=strict)
    return findings


def found(layout: Layout) -> list[tuple[str, str]]:
    return [(finding.severity, finding.what) for finding in verify_layout(layout)]


@pytest.mark.parametrize("codec", ["gzip", "zstd", "none"])
def test_a_right_layout_has_no_findings(layout: Layout, codec: str) -> None:
    image = add_image(layout, LOWER, UPPER, codec=codec)
    layout.tag(image.descriptor, Reference.parse("example.com/x:1"))
    first = add_image(layout, LOWER, codec=codec)
    layout.tag(first.descriptor, Reference.parse("example.com/x:0"))
    assert found(layout) == []
    assert as_the_command(layout.root, SilentProgress(), strict=True) == []


def test_an_index_of_images_is_followed(layout: Layout) -> None:
    layout.add(write_index(layout, [add_image(layout, LOWER), add_image(layout, tarball({".wh.x": b""}))]))
    assert found(layout) == [("error", "a whiteout of a path that no layer below has: x")]


def test_what_skopeo_and_umoci_write_is_right(layout: Layout, tmp_path: Path) -> None:
    layout.tag(add_image(layout, LOWER).descriptor, Reference.parse("example.com/x:1"))
    run("skopeo", "copy", f"oci:{layout.root}:1", f"oci:{tmp_path / 'copy'}:1")
    assert found(Layout.open(tmp_path / "copy")) == []
    run("umoci", "config", "--image", f"{tmp_path / 'copy'}:1", "--config.cmd", "sh", "--author", "me")
    run("umoci", "gc", "--layout", tmp_path / "copy")
    assert found(Layout.open(tmp_path / "copy")) == []


def test_what_umoci_packs_is_right(tmp_path: Path) -> None:
    layout, bundle = tmp_path / "umoci", tmp_path / "bundle"
    run("umoci", "init", "--layout", layout)
    run("umoci", "new", "--image", f"{layout}:1")
    for change in (lambda root: (root / "a").write_bytes(b"1"), lambda root: (root / "a").unlink()):
        run("umoci", "unpack", "--image", f"{layout}:1", bundle)
        change(bundle / "rootfs")
        run("umoci", "repack", "--image", f"{layout}:1", bundle)
        shutil.rmtree(bundle)
    run("umoci", "gc", "--layout", layout)
    assert found(Layout.open(layout)) == []
    assert len(read_image(Layout.open(layout)).layers) == 2


def with_manifest(layout: Layout, **changes: Any) -> None:
    image = add_image(layout, LOWER, UPPER)
    manifest = {key: value for key, value in {**image.manifest, **changes}.items() if value is not None}
    descriptor = layout.put_bytes(media_types.OCI_MANIFEST, canonical_json(manifest))
    layout.add(descriptor)
    layout.path(image.descriptor.digest).unlink()


def with_config(layout: Layout, **changes: Any) -> None:
    image = add_image(layout, LOWER, UPPER)
    config = {key: value for key, value in {**image.config, **changes}.items() if value is not None}
    descriptor = layout.put_bytes(media_types.OCI_CONFIG, canonical_json(config))
    with_manifest(layout, config=descriptor.to_json())
    layout.path(image.config_descriptor.digest).unlink()


def with_layer(layout: Layout, media_type: str, data: bytes, diff_id: Digest | None = None) -> None:
    config = {"os": "linux", "architecture": "amd64", "history": [{}],
              "rootfs": {"type": "layers", "diff_ids": [str(diff_id or Digest.of(LOWER))]}}
    layer = layout.put_bytes(media_type, data)
    described = layout.put_bytes(media_types.OCI_CONFIG, canonical_json(config))
    layout.add(layout.put_bytes(media_types.OCI_MANIFEST, canonical_json({
        "schemaVersion": 2, "mediaType": media_types.OCI_MANIFEST, "config": described.to_json(),
        "layers": [layer.to_json()]})))


def with_blob(layout: Layout, change: Callable[[Path], object]) -> None:
    image = add_image(layout, LOWER)
    layout.add(image.descriptor)
    change(layout.path(image.layers[0][0].digest))


def link_away(path: Path) -> None:
    path.unlink()
    path.symlink_to("/dev/null")


def wide(data: bytes, window_log: int) -> bytes:
    """A zstd frame that needs a window of 2 ** ``window_log`` bytes."""
    parameters = zstandard.ZstdCompressionParameters.from_level(1, window_log=window_log)
    stream = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    return stream.compress(data) + stream.flush()


GZIPPED = pack(LOWER, "gzip")[1]
MISSING = Descriptor(media_types.OCI_LAYER, Digest.of(b"gone"), 4).to_json()

WRONG: dict[str, tuple[Callable[[Layout], object], str, str]] = {
    "flipped blob": (lambda it: with_blob(it, lambda p: p.write_bytes(p.read_bytes()[:-1] + b"!")),
                     "error", "the bytes do not match the digest in the name"),
    "longer blob": (lambda it: with_blob(it, lambda p: p.write_bytes(p.read_bytes() + b"!")),
                    "error", "bytes; it has"),
    "missing blob": (lambda it: with_blob(it, lambda p: p.unlink()), "error", "which is not there"),
    "linked blob": (lambda it: with_blob(it, link_away),
                    "error", "not a regular file"),
    "odd blob": (
        lambda it: (it.root / "blobs" / "sha256" / "odd").write_bytes(b""), "error", "the name is not a digest",
    ),
    "stray blob": (lambda it: it.put_bytes("", b"stray"), "warning", "5 bytes that no image refers to"),
    "no layers": (lambda it: with_manifest(it, layers=None), "error", "layers: Field required"),
    "a layer missing": (lambda it: with_manifest(it, layers=[MISSING, MISSING]), "error", "which is not there"),
    "two kinds": (lambda it: with_manifest(it, manifests=[]), "error", "can be read as another kind"),
    "an annotation": (lambda it: with_manifest(it, annotations={"a": 1}), "error", "annotations.a: Input should be"),
    "a type": (lambda it: with_manifest(it, layers=[{**MISSING, "mediaType": "application/x"}]),
               "error", "a layer is application/x, which engines do not run"),
    "no os": (lambda it: with_config(it, os=None), "error", "os: Field required"),
    "empty architecture": (lambda it: with_config(it, architecture=""), "error", "architecture: String should have"),
    "created": (lambda it: with_config(it, created="yesterday"), "error", "created: Value error, not a time"),
    "env": (lambda it: with_config(it, config={"Env": ["x"]}), "error", "config.Env.0: String should match"),
    "cmd": (lambda it: with_config(it, config={"Cmd": "sh"}), "error", "config.Cmd: Input should be a valid list"),
    "ports": (lambda it: with_config(it, config={"ExposedPorts": ["80"]}), "error", "config.ExposedPorts: Input"),
    "diff_ids": (lambda it: with_config(it, rootfs={"type": "layers", "diff_ids": [str(Digest.of(LOWER))]}),
                 "error", "1 diff_ids for 2 layers"),
    "a diff_id": (lambda it: with_config(it, rootfs={"type": "layers", "diff_ids": ["sha256:x", "y"]}),
                  "error", "rootfs.diff_ids.0: Value error"),
    "history": (lambda it: with_config(it, history=[{}]), "error", "the history speaks of 1 layers, diff_ids of 2"),
    "no history": (lambda it: with_config(it, history=None), "warning", "the history speaks of 0 layers"),
    "wrong diff_id": (
        lambda it: with_layer(it, media_types.OCI_LAYER, UPPER), "error", "the config says it unpacks to",
    ),
    "wrong compression": (lambda it: with_layer(it, media_types.OCI_LAYER_ZSTD, GZIPPED),
                          "error", f"its type is {media_types.OCI_LAYER_ZSTD}, its compression gzip"),
    "cut off gzip": (lambda it: with_layer(it, media_types.OCI_LAYER_GZIP, GZIPPED[:-9]), "error", "was cut off"),
    "padding": (lambda it: with_layer(it, media_types.OCI_LAYER, LOWER + bytes(512), Digest.of(LOWER + bytes(512))),
                "warning", "512 bytes of padding after the two end blocks"),
    "index entry": (lambda it: it.add(Descriptor("nonsense", add_image(it, LOWER).descriptor.digest, 1)),
                    "error", "manifests.0.mediaType: String should match"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_said(layout: Layout, case: str) -> None:
    spoil, severity, what = WRONG[case]
    spoil(layout)
    findings = found(layout)
    assert [text for level, text in findings if level == severity and what in text], findings


def test_an_attestation_is_no_image_but_its_blobs_are_referred_to(layout: Layout) -> None:
    statement = layout.put_bytes("application/vnd.in-toto+json", b"{}")
    config = layout.put_bytes(media_types.OCI_CONFIG, b"{}")
    manifest = canonical_json({"schemaVersion": 2, "mediaType": media_types.OCI_MANIFEST, "config": config.to_json(),
                               "layers": [statement.to_json()]})
    stored = layout.put_bytes(media_types.OCI_MANIFEST, manifest)
    layout.add(Descriptor(stored.media_type, stored.digest, stored.size,
                          {"vnd.docker.reference.type": "attestation-manifest"}))
    assert found(layout) == [("error", "leads to no image, so none was checked")]
    layout.add(add_image(layout, LOWER).descriptor)
    assert found(layout) == []


def test_everything_that_is_wrong_comes_at_once(layout: Layout) -> None:
    with_config(layout, created="yesterday", history=[{"created_by": 1}], os=None)
    layout.put_bytes("", b"stray")
    layout.add(add_layer(layout, {"x": b""}).descriptor)
    with pytest.raises(ImageError, match="has 4 problems") as caught:
        as_the_command(layout.root, SilentProgress())
    assert caught.value.detail is not None and caught.value.hint
    lines = caught.value.detail.splitlines()
    assert [text for text in ("created: ", "history.0.created_by: ", "os: ", "speaks of 1 layers", "no image refers",
                              "is not checked")
            if not any(text in line for line in lines)] == []


def test_warnings_fail_only_when_asked(layout: Layout) -> None:
    layout.add(add_image(layout, LOWER).descriptor)
    layout.put_bytes("", b"stray")
    assert [finding.severity for finding in as_the_command(layout.root, SilentProgress())] == ["warning"]
    with pytest.raises(ImageError, match=r"has 1 problem$"):
        as_the_command(layout.root, SilentProgress(), strict=True)


# Images that are not seen as images, and parts of them that are not here


IMAGE_TYPES = "its layers are an image's"


def whole_image(layout: Layout, *layers: bytes) -> Image:
    """``add_image`` without the images below it, to which nothing refers."""
    before = set(layout.blobs())
    image = add_image(layout, *layers)
    kept = {image.descriptor.digest, image.config_descriptor.digest, *(layer.digest for layer, _ in image.layers)}
    for digest in set(layout.blobs()) - before - kept:
        layout.path(digest).unlink()
    return image


@pytest.mark.parametrize(("change", "why"), [
    ({"config": "application/vnd.oci.image.confg.v1+json"}, "its config is application/vnd.oci.image.confg.v1+json"),
    ({"artifactType": "application/x"}, "its artifactType is application/x"),
])
def test_an_image_that_engines_do_not_see_is_an_error(layout: Layout, change: dict[str, str], why: str) -> None:
    image = whole_image(layout, LOWER, tarball({".wh.gone": b""}))
    config = {**image.config_descriptor.to_json(), "mediaType": change.pop("config", media_types.OCI_CONFIG)}
    manifest = canonical_json({**image.manifest, "config": config, **change})
    layout.add(layout.put_bytes(media_types.OCI_MANIFEST, manifest))
    layout.path(image.descriptor.digest).unlink()
    assert found(layout) == [
        ("error", f"engines see no image in it, because {why}; yet {IMAGE_TYPES}"),
        ("error", "a whiteout of a path that no layer below has: gone"),
    ]


@pytest.mark.parametrize(("extra", "annotations", "why"), [
    ({"platform": {"os": "unknown", "architecture": "unknown"}}, {}, "its platform is unknown"),
    ({"artifactType": "application/x"}, {}, "its artifactType is application/x"),
    ({}, {"vnd.docker.reference.type": "attestation-manifest"}, "it is called an attestation"),
])
def test_an_index_that_hides_an_image_is_an_error(
    layout: Layout, extra: dict[str, Any], annotations: dict[str, str], why: str
) -> None:
    listed = whole_image(layout, LOWER).descriptor
    layout.add(replace(listed, extra=extra, annotations=annotations))
    assert found(layout) == [("error", f"engines see no image in it, because {why}; yet {IMAGE_TYPES}")]


def test_an_artifact_is_said_to_be_unchecked(layout: Layout) -> None:
    config = layout.put_bytes("application/vnd.oci.empty.v1+json", b"{}")
    manifest = {"schemaVersion": 2, "mediaType": media_types.OCI_MANIFEST, "artifactType": "application/spdx",
                "config": config.to_json(), "layers": [layout.put_bytes("application/spdx", b"sbom").to_json()]}
    layout.add(layout.put_bytes(media_types.OCI_MANIFEST, canonical_json(manifest)))
    layout.add(whole_image(layout, LOWER).descriptor)
    assert found(layout) == [("warning", "is not checked as an image, because its artifactType is application/spdx")]


def test_a_manifest_of_a_damaged_type_is_one_nevertheless(layout: Layout) -> None:
    listed = whole_image(layout, LOWER, tarball({".wh.gone": b""})).descriptor
    layout.add(replace(listed, media_type="application/vnd.oci.image.manifst.v1+json"))
    assert found(layout) == [
        ("error", f"{listed.digest} is a manifest, and not application/vnd.oci.image.manifst.v1+json"),
        ("error", "a whiteout of a path that no layer below has: gone"),
    ]


def test_an_index_nested_four_deep_is_followed_and_told(layout: Layout) -> None:
    listed = whole_image(layout, LOWER, tarball({".wh.gone": b""})).descriptor
    for _ in range(4):
        listed = add_index(layout, listed)
    layout.add(listed)
    assert found(layout) == [
        ("error", "is an index that is nested too deeply; imgasm does not read it"),
        ("error", "a whiteout of a path that no layer below has: gone"),
    ]


def add_index(layout: Layout, *entries: Descriptor | dict[str, Any]) -> Descriptor:
    listed = [entry.to_json() if isinstance(entry, Descriptor) else entry for entry in entries]
    value = {"schemaVersion": 2, "mediaType": media_types.OCI_INDEX, "manifests": listed}
    return layout.put_bytes(media_types.OCI_INDEX, canonical_json(value))


def test_without_an_image_nothing_was_proved(layout: Layout) -> None:
    assert found(layout) == [("error", "leads to no image, so none was checked")]


def thin(layout: Layout, *lacking: int) -> Image:
    image = whole_image(layout, LOWER, tarball({"b": b"2"}), tarball({".wh.b": b"", "a/.wh.lower": b""}))
    layout.add(with_origins(image.descriptor, [Reference.parse("example.com/base")]))
    for number in lacking:
        layout.path(image.layers[number][0].digest).unlink()
    return image


def test_a_thin_image_may_lack_its_base_and_says_so(layout: Layout) -> None:
    thin(layout, 0, 1)
    assert found(layout) == [("note", "2 of 3 layers are not here, so they were not checked")]
    assert [finding.severity for finding in as_the_command(layout.root, SilentProgress(), strict=True)] == ["note"]


def test_a_thin_image_must_have_its_own_layer(layout: Layout) -> None:
    image = thin(layout, 0, 2)
    assert found(layout) == [
        ("error", f"refers to {image.layers[2][0].digest}, which is not there"),
        ("note", "1 of 3 layers are not here, so they were not checked"),
    ]


@pytest.mark.parametrize(("media_type", "is_here", "expected"), [
    ("application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", True, []),
    ("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", False,
     [("note", "1 of 1 layers are not here, so they were not checked")]),
])
def test_a_foreign_layer_is_where_its_urls_say(
    layout: Layout, media_type: str, is_here: bool, expected: list[tuple[str, str]]
) -> None:
    image = whole_image(layout, LOWER)
    foreign = replace(image.layers[0][0], media_type=media_type, extra={"urls": ["https://example.com/layer"]})
    manifest = {**image.manifest, "layers": [foreign.to_json()]}
    layout.add(layout.put_bytes(media_types.OCI_MANIFEST, canonical_json(manifest)))
    layout.path(image.descriptor.digest).unlink()
    if not is_here:
        layout.path(foreign.digest).unlink()
    assert found(layout) == expected


# How layers are packed


@pytest.mark.parametrize(("media_type", "data", "expected"), [
    pytest.param(media_types.OCI_LAYER_GZIP, GZIPPED + bytes(5),
                 [("error", "5 zeros after the compressed data")], id="gz0"),
    pytest.param(media_types.OCI_LAYER_ZSTD, zstandard.compress(LOWER) + bytes(1),
                 [("error", "1 zeros after the compressed data")], id="zst0"),
    pytest.param(media_types.OCI_LAYER_ZSTD, b"\x50\x2a\x4d\x18\1\0\0\0x" + zstandard.compress(LOWER),
                 [("error", "a skippable frame comes first")], id="skippable"),
    pytest.param(media_types.OCI_LAYER_GZIP, GZIPPED + b"rubbish",
                 [("error", "can't be decompressed")], id="rubbish"),
    pytest.param(media_types.OCI_LAYER_GZIP, gzip.compress(LOWER, mtime=1),
                 [("warning", "its gzip header has a time")], id="dated"),
    pytest.param(media_types.OCI_LAYER_ZSTD, wide(LOWER, 24), [("warning", "its zstd window is 16 MiB")], id="wide"),
    pytest.param(media_types.OCI_LAYER_ZSTD, wide(LOWER, 28), [("error", "its zstd window is 256 MiB")], id="too wide"),
    pytest.param(media_types.OCI_LAYER_ZSTD, wide(LOWER, 23), [], id="wide enough"),
])
def test_how_a_layer_is_packed(
    layout: Layout, media_type: str, data: bytes, expected: list[tuple[str, str]]
) -> None:
    with_layer(layout, media_type, data)
    findings = found(layout)
    assert len(findings) == len(expected), findings
    assert all(level == severity and what in text
               for (level, text), (severity, what) in zip(findings, expected, strict=True)), findings


@pytest.fixture
def short_path() -> Iterator[Path]:
    """podman takes at most 50 characters for the path of its runroot."""
    with tempfile.TemporaryDirectory() as directory:
        yield Path(directory)


def test_podman_refuses_what_is_an_error(layout: Layout, tmp_path: Path, short_path: Path) -> None:
    """A referee for the errors above: they are no matter of taste. It unpacks by itself, without pigz and zstd."""
    for media_type, data in (
        (media_types.OCI_LAYER_GZIP, GZIPPED + bytes(5)),
        (media_types.OCI_LAYER_ZSTD, zstandard.compress(LOWER) + bytes(1)),
        (media_types.OCI_LAYER_ZSTD, b"\x50\x2a\x4d\x18\1\0\0\0x" + zstandard.compress(LOWER)),
    ):
        broken = Layout.create(tmp_path / f"broken{len(data)}")
        with_layer(broken, media_type, data)
        assert [severity for severity, _ in found(broken)] == ["error"]
        refused = podman_pull(broken, short_path, PATH="")
        # It unpacks while it fetches, and either of the two ends first; podman 5 then compares what came out.
        told = (b"ApplyLayer", b"storing blob", b"does not match config's DiffID")
        assert refused.returncode != 0 and any(words in refused.stderr for words in told), refused.stderr
    with_layer(layout, media_types.OCI_LAYER_GZIP, GZIPPED)
    assert found(layout) == []
    done = podman_pull(layout, short_path, PATH="")
    assert done.returncode == 0, done.stderr


def test_podman_5_leaves_gzip_to_pigz_which_passes_over_what_stands_behind(layout: Layout, short_path: Path) -> None:
    """Where pigz is installed; so podman 5 alone could not tell that zeros there are an error."""
    with_layer(layout, media_types.OCI_LAYER_GZIP, GZIPPED + bytes(5))
    done = podman_pull(layout, short_path)
    assert (done.returncode == 0) is (podman_release() >= 5), done.stderr


def podman_pull(layout: Layout, place: Path, **environment: str) -> subprocess.CompletedProcess[bytes]:
    storage = ["--root", place / "storage", "--runroot", place / "run", "--storage-driver", "vfs"]
    return subprocess.run([shutil.which("podman") or "podman", *storage, "pull", "-q", f"oci:{layout.root}"],
                          capture_output=True, check=False, env={**os.environ, **environment})  # fmt: skip


# One fault does not hide another


def test_a_wrong_size_does_not_hide_what_is_below(layout: Layout) -> None:
    listed = whole_image(layout, LOWER, tarball({".wh.gone": b""})).descriptor
    layout.add(add_index(layout, replace(listed, size=1)))
    assert found(layout) == [
        ("error", f"says that {listed.digest} has 1 bytes; it has {listed.size}"),
        ("error", "a whiteout of a path that no layer below has: gone"),
    ]


def test_a_bad_entry_does_not_hide_a_good_one(layout: Layout) -> None:
    good = whole_image(layout, LOWER, tarball({".wh.gone": b""})).descriptor
    odd = whole_image(layout, tarball({"odd": b""})).descriptor
    layout.add(add_index(layout, {"digest": "sha256:x"}, good, {**odd.to_json(), "annotations": {"a": 1}}))
    assert found(layout) == [
        ("error", "manifests.0.mediaType: Field required"),
        ("error", "manifests.0.digest: Value error, 'sha256:x' is not a digest; expected sha256: and 64 lower-case hex"
                  " digits"),
        ("error", "manifests.0.size: Field required"),
        ("error", "manifests.2.annotations.a: Input should be a valid string"),
        ("error", "a whiteout of a path that no layer below has: gone"),
    ]


def test_what_a_lost_document_refers_to_is_no_garbage(layout: Layout) -> None:
    image = whole_image(layout, LOWER)
    layout.add(image.descriptor)
    layout.path(image.descriptor.digest).write_bytes(b"{}")
    assert found(layout) == [
        ("error", "the bytes do not match the digest in the name"),
        ("error", f"says that {image.descriptor.digest} has {image.descriptor.size} bytes; it has 2"),
        ("error", "leads to no image, so none was checked"),
    ]


def test_a_layer_that_was_lost_does_not_make_the_next_one_wrong(layout: Layout) -> None:
    image = whole_image(layout, LOWER, UPPER)
    layout.add(image.descriptor)
    blob = layout.path(image.layers[0][0].digest)
    blob.write_bytes(blob.read_bytes()[:-1] + b"!")
    assert found(layout) == [("error", "the bytes do not match the digest in the name")]


@pytest.mark.parametrize(("name", "content", "what"), [
    ("index.json", None, "is not there"),
    ("index.json", b"{", "the file is not valid JSON: Expecting property name enclosed in double quotes"),
    ("index.json", b'{"schemaVersion":1,"manifests":[{}]}', "schemaVersion: Input should be 2"),
    ("index.json", b'{"schemaVersion":2,"schemaVersion":2,"manifests":[]}', "the key 'schemaVersion' occurs twice"),
    ("index.json", b'{"schemaVersion":2,"manifests":[],"layers":[]}', "can be read as another kind"),
    ("index.json", b'{"schemaVersion":2,"manifests":[],"Manifests":[]}', "which some read as 'manifests'"),
    ("oci-layout", None, "is not there"),
    ("oci-layout", b"[]", "the file is not a JSON object"),
    ("oci-layout", b'{"imageLayoutVersion":"2.0.0"}', "imageLayoutVersion: Input should be '1.0.0'"),
])
def test_a_damaged_layout_is_checked_nevertheless(
    layout: Layout, name: str, content: bytes | None, what: str
) -> None:
    with_blob(layout, lambda path: path.write_bytes(b"flipped"))
    file = layout.root / name
    if content is None:
        file.unlink()
    else:
        file.write_bytes(content)
    findings = verify_layout(layout)
    assert ("error", "the bytes do not match the digest in the name") in [(one.severity, one.what) for one in findings]
    assert [one for one in findings if one.where == name and what in one.what and one.severity == "error"], findings
    with pytest.raises(ImageError, match="problem"):
        as_the_command(layout.root, SilentProgress())


def test_the_index_is_checked_as_it_is(layout: Layout) -> None:
    """Not as imgasm would write it: it drops what it can't read, and a null."""
    listed = whole_image(layout, LOWER).descriptor.to_json()
    index = {"schemaVersion": 2, "annotations": {"a": 1}, "manifests": ["nonsense", {**listed, "size": "1"}]}
    (layout.root / "index.json").write_bytes(canonical_json(index))
    assert found(layout) == [
        ("error", "manifests.0: Input should be a valid dictionary or instance of IndexEntry"),
        ("error", "manifests.1.size: Input should be a valid integer"),
        ("error", "annotations.a: Input should be a valid string"),
    ]


def test_blobs_that_can_not_be_read_are_findings() -> None:
    """As root everything can be read, so the test is somebody else meanwhile."""
    with tempfile.TemporaryDirectory() as directory:
        layout = Layout.create(Path(directory, "layout"))
        with_blob(layout, lambda path: path.chmod(0))
        layout.put_bytes("", b"stray")
        (layout.root / "blobs" / "sha512").mkdir(mode=0)
        Path(directory).chmod(0o755)
        mine = os.geteuid()
        os.seteuid(65534 if mine == 0 else mine)
        try:
            with pytest.raises(ImageError, match="has 2 problems") as caught:
                as_the_command(layout.root, SilentProgress())
        finally:
            os.seteuid(mine)
    first, second, third = (caught.value.detail or "").splitlines()
    assert first.startswith("error: blobs/sha256/") and "can't be read: Permission denied" in first
    assert second == "error: blobs/sha512: can't be read: Permission denied"
    assert third.endswith("5 bytes that no image refers to")


# Files that are not where blobs should be


def test_no_directory_of_blobs(layout: Layout) -> None:
    layout.add(whole_image(layout, LOWER).descriptor)
    shutil.move(layout.root / "blobs", layout.root / "elsewhere")
    assert found(layout)[0] == ("error", "is not there")
    assert list(layout.blobs()) == []
    (layout.root / "blobs").write_bytes(b"")
    assert found(layout)[0] == ("error", "is not a directory")
    assert list(layout.blobs()) == []
    with pytest.raises(ImageError, match="problem"):
        as_the_command(layout.root, SilentProgress())


def test_links_and_stray_files_among_the_blobs(layout: Layout) -> None:
    layout.add(whole_image(layout, LOWER).descriptor)
    (layout.root / "blobs" / "sha512").symlink_to("sha256")
    (layout.root / "blobs" / "stray").write_bytes(b"")
    (layout.root / "blobs" / "md5").mkdir()
    (layout.root / "blobs" / "md5" / "x\x1b[2J\ny").write_bytes(b"")
    assert [(finding.where, finding.what) for finding in verify_layout(layout)] == [
        ("blobs/md5/x\\x1b[2J\\ny", "the name is not a digest"),
        ("blobs/sha512", "is not a directory, so it holds no algorithm's blobs"),
        ("blobs/stray", "is not a directory, so it holds no algorithm's blobs"),
    ]
    with pytest.raises(ImageError, match="sha512 is a symbolic link"):
        Layout.open(layout.root)


# Descriptors


@pytest.mark.parametrize(("platform", "expected"), [
    ({"os": "linux", "architecture": "amd64"}, []),
    ({"os": "linux", "architecture": "amd64", "variant": "v3"}, []),
    ({"os": "linux", "architecture": "arm64"}, ["error"]),
    ({"os": "windows", "architecture": "amd64"}, ["error"]),
])
def test_the_platform_of_an_index_is_the_configs(
    layout: Layout, platform: dict[str, str], expected: list[str]
) -> None:
    listed = whole_image(layout, LOWER).descriptor
    layout.add(add_index(layout, replace(listed, extra={"platform": platform})))
    assert [severity for severity, _ in found(layout)] == expected


@pytest.mark.parametrize(("data", "what"), [
    (b"e30=", None), (b"e30", "is not base64"), (b"bm8=", "is something else"),
])
def test_data_inside_a_descriptor_is_what_its_digest_says(layout: Layout, data: bytes, what: str | None) -> None:
    empty = layout.put_bytes("application/vnd.oci.empty.v1+json", b"{}")
    described = replace(empty, extra={"data": data.decode()})
    layout.add(whole_image(layout, LOWER).descriptor)
    layout.add(layout.put_bytes(media_types.OCI_MANIFEST, canonical_json({
        "schemaVersion": 2, "mediaType": media_types.OCI_MANIFEST, "artifactType": "application/x",
        "config": described.to_json(), "layers": []})))
    assert [text.endswith(what or "") for severity, text in found(layout) if severity == "error"] == [True] * bool(what)


def test_two_images_of_one_name(layout: Layout) -> None:
    images = [whole_image(layout, tarball({name: b""})) for name in "ab"]
    named = [replace(image.descriptor, annotations={REF_NAME: "1"}) for image in images]
    full = replace(named[0], annotations={REF_NAME: "1", FULL_NAME: "example.com/a:1"})
    other = replace(named[1], annotations={REF_NAME: "1", FULL_NAME: "example.com/b:1"})
    for entries, expected in ((named, 1), ([full, other], 0), ([named[0], named[0]], 0), ([full, named[1]], 1)):
        value = {"schemaVersion": 2, "manifests": [entry.to_json() for entry in entries]}
        (layout.root / "index.json").write_bytes(canonical_json(value))
        told = [text for _, text in found(layout) if "gives the name 1 to" in text]
        assert len(told) == expected, (entries, told)


def test_one_image_of_a_layout_by_its_name(layout: Layout) -> None:
    layout.tag(whole_image(layout, LOWER).descriptor, Reference.parse("example.com/x:right"))
    layout.tag(whole_image(layout, tarball({".wh.x": b""})).descriptor, Reference.parse("example.com/x:wrong"))
    assert verify_layout(layout, name="right") == [] and verify_layout(layout, name="example.com/x:right") == []
    assert [one.what for one in verify_layout(layout, name="wrong")] == [
        "a whiteout of a path that no layer below has: x",
    ]
    assert [one.what for one in verify_layout(layout, name="none")] == [
        "lists nothing that is called none", "leads to no image, so none was checked"]


def test_an_image_that_is_mentioned_a_thousand_times_is_unpacked_once(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    unpacked: list[object] = []
    monkeypatch.setattr("assembler.image.verify_layout.check_layers", lambda *layers: unpacked.append(layers))
    listed = whole_image(layout, LOWER).descriptor
    annotated = [replace(listed, annotations={"number": str(number)}) for number in range(1000)]
    layout.add(add_index(layout, *annotated))
    layout.add(listed)
    assert found(layout) == [] and len(unpacked) == 1


def test_several_images_with_several_faults_each(layout: Layout) -> None:
    """The whole list, in its order: faults of blobs first, then image by image."""
    with_config(layout, created="yesterday", config={"Cmd": "sh", "Env": ["x"]})
    with_layer(layout, media_types.OCI_LAYER_ZSTD, GZIPPED + bytes(512), Digest.of(b"other"))
    listed = whole_image(layout, LOWER, tarball({"a/.wh.none": b"", "/abs": b"", "a/../../b": b""})).descriptor
    layout.add(add_index(layout, replace(listed, size=3, extra={"platform": {"os": "linux", "architecture": "s390x"}}),
                         {**MISSING, "mediaType": media_types.OCI_MANIFEST}))
    broken = whole_image(layout, tarball({"broken": b"x" * 100}))
    layout.add(broken.descriptor)
    layout.path(broken.layers[0][0].digest).write_bytes(b"")
    layout.put_bytes("", b"stray")
    (layout.root / "oci-layout").unlink()
    gone, stray = Digest.of(b"gone"), Digest.of(b"stray")
    assert found(layout) == [
        ("error", "the bytes do not match the digest in the name"),
        ("error", "is not there"),
        ("error", "created: Value error, not a time as RFC 3339 has it"),
        ("error", "config.Env.0: String should match pattern '(?s)^[^=]+='"),
        ("error", "config.Cmd: Input should be a valid list"),
        ("error", f"its type is {media_types.OCI_LAYER_ZSTD}, its compression gzip"),
        ("error", "512 zeros after the compressed data, which engines refuse"),
        ("error", f"the config says it unpacks to {Digest.of(b'other')}, but it does to {Digest.of(LOWER)}"),
        ("error", f"says that {listed.digest} has 3 bytes; it has {listed.size}"),
        ("error", "a path is absolute: /abs"),
        ("error", "a path leads out of the rootfs: a/../../b"),
        ("error", "a whiteout of a path that no layer below has: a/none"),
        ("error", f"says that {listed.digest} is for linux/s390x; its config says linux/amd64"),
        ("error", f"refers to {gone}, which is not there"),
        ("error", f"says that {broken.layers[0][0].digest} has {broken.layers[0][0].size} bytes; it has 0"),
    ]
    # a manifest is missing: it may be of that
    assert not [one for one in verify_layout(layout) if stray.hex in one.where]


def test_no_layout_no_findings(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="not an OCI layout"):
        as_the_command(tmp_path, SilentProgress())
    assert os.listdir(tmp_path) == []


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5)
    | st.sampled_from([
        media_types.OCI_MANIFEST, media_types.OCI_INDEX, media_types.OCI_LAYER, str(Digest.of(b"")), "e30=",
    ]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["mediaType", "digest", "size", "data", "platform", "os", "config", "layers", "manifests",
                         "rootfs", "diff_ids", "history", "annotations", "urls", "subject", "artifactType"]),
        inner, max_size=4),
    max_leaves=8,
)
KEYS = ["mediaType", "schemaVersion", "config", "layers", "manifests", "rootfs", "history", "os", "annotations",
        "subject", "artifactType", "platform", "digest", "size", "data"]


@given(st.sampled_from(["index", "entry", "manifest", "config", "layer"]), st.sampled_from(KEYS), JSON)
@settings(deadline=None, max_examples=300)
def test_fuzz_whatever_is_in_a_document_is_a_finding(where: str, key: str, value: Any) -> None:
    """One key of one document is anything at all: never a traceback, and every digest still right."""
    changes: dict[str, dict[str, Any]] = {where: {key: value}}
    with tempfile.TemporaryDirectory() as directory:
        layout = Layout.create(Path(directory))
        image = add_image(layout, LOWER)
        (layer, _), = image.layers
        config = layout.put_bytes(media_types.OCI_CONFIG, canonical_json({**image.config, **changes.get("config", {})}))
        manifest = layout.put_bytes(media_types.OCI_MANIFEST, canonical_json({
            **image.manifest, "config": config.to_json(), "layers": [{**layer.to_json(), **changes.get("layer", {})}],
            **changes.get("manifest", {})}))
        index = {"schemaVersion": 2, "manifests": [{**manifest.to_json(), **changes.get("entry", {})}],
                 **changes.get("index", {})}
        (layout.root / "index.json").write_bytes(canonical_json(index))
        for finding in verify_layout(layout):
            assert finding.what.isprintable()
            assert "the bytes do not match the digest in the name" not in finding.what
