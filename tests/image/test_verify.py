"""Layouts that are right, layouts that are wrong in one way each, and one that is wrong in every way."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from imagemaking import add_image, add_layer, pack, run, tarball

from assembler.commands.verify import verify_layout
from assembler.errors import ImageError
from assembler.image.assemble import write_index
from assembler.image.layout import Layout
from assembler.image.verify import verify
from assembler.model import media
from assembler.model.digest import Digest
from assembler.model.oci import Descriptor, canonical_json
from assembler.model.reference import Reference
from assembler.progress import SilentProgress

LOWER, UPPER = tarball({"a": None, "a/lower": b"1"}), tarball({"a/.wh.lower": b"", "b": b"2"})


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout.create(tmp_path / "layout")


def found(layout: Layout) -> list[tuple[str, str]]:
    return [(finding.severity, finding.what) for finding in verify(layout)]


@pytest.mark.parametrize("codec", ["gzip", "zstd", "none"])
def test_a_right_layout_has_no_findings(layout: Layout, codec: str) -> None:
    image = add_image(layout, LOWER, UPPER, codec=codec)
    layout.tag(image.descriptor, Reference.parse("example.com/x:1"))
    first = add_image(layout, LOWER, codec=codec)
    layout.tag(first.descriptor, Reference.parse("example.com/x:0"))
    assert found(layout) == []
    assert verify_layout(layout.root, SilentProgress(), strict=True) == []


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


def with_manifest(layout: Layout, **changes: Any) -> None:
    image = add_image(layout, LOWER, UPPER)
    manifest = {key: value for key, value in {**image.manifest, **changes}.items() if value is not None}
    descriptor = layout.put_bytes(media.OCI_MANIFEST, canonical_json(manifest))
    layout.add(descriptor)
    layout.path(image.descriptor.digest).unlink()


def with_config(layout: Layout, **changes: Any) -> None:
    image = add_image(layout, LOWER, UPPER)
    config = {key: value for key, value in {**image.config, **changes}.items() if value is not None}
    descriptor = layout.put_bytes(media.OCI_CONFIG, canonical_json(config))
    with_manifest(layout, config=descriptor.to_json())
    layout.path(image.config_descriptor.digest).unlink()


def with_layer(layout: Layout, media_type: str, data: bytes, diff_id: Digest | None = None) -> None:
    config = {"os": "linux", "architecture": "amd64", "history": [{}],
              "rootfs": {"type": "layers", "diff_ids": [str(diff_id or Digest.of(LOWER))]}}
    layer = layout.put_bytes(media_type, data)
    described = layout.put_bytes(media.OCI_CONFIG, canonical_json(config))
    layout.add(layout.put_bytes(media.OCI_MANIFEST, canonical_json({
        "schemaVersion": 2, "mediaType": media.OCI_MANIFEST, "config": described.to_json(),
        "layers": [layer.to_json()]})))


def with_blob(layout: Layout, change: Callable[[Path], object]) -> None:
    image = add_image(layout, LOWER)
    layout.add(image.descriptor)
    change(layout.path(image.layers[0][0].digest))


def link_away(path: Path) -> None:
    path.unlink()
    path.symlink_to("/dev/null")


GZIPPED = pack(LOWER, "gzip")[1]
MISSING = Descriptor(media.OCI_LAYER, Digest.of(b"gone"), 4).to_json()

WRONG: dict[str, tuple[Callable[[Layout], object], str, str]] = {
    "flipped blob": (lambda it: with_blob(it, lambda p: p.write_bytes(p.read_bytes()[:-1] + b"!")),
                     "error", "the bytes are not what the name says"),
    "longer blob": (lambda it: with_blob(it, lambda p: p.write_bytes(p.read_bytes() + b"!")),
                    "error", "bytes; it has"),
    "missing blob": (lambda it: with_blob(it, lambda p: p.unlink()), "error", "which is not there"),
    "linked blob": (lambda it: with_blob(it, link_away),
                    "error", "not a regular file"),
    "odd blob": (lambda it: (it.root / "blobs" / "sha256" / "odd").write_bytes(b""), "error", "the name is no digest"),
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
    "wrong diff_id": (lambda it: with_layer(it, media.OCI_LAYER, UPPER), "error", "the config says it unpacks to"),
    "wrong compression": (lambda it: with_layer(it, media.OCI_LAYER_ZSTD, GZIPPED),
                          "error", f"its type is {media.OCI_LAYER_ZSTD}, its compression gzip"),
    "cut off gzip": (lambda it: with_layer(it, media.OCI_LAYER_GZIP, GZIPPED[:-9]), "error", "was cut off"),
    "padding": (lambda it: with_layer(it, media.OCI_LAYER, LOWER + bytes(512), Digest.of(LOWER + bytes(512))),
                "warning", "512 bytes of padding behind the two end blocks"),
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
    config = layout.put_bytes(media.OCI_CONFIG, b"{}")
    manifest = canonical_json({"schemaVersion": 2, "mediaType": media.OCI_MANIFEST, "config": config.to_json(),
                               "layers": [statement.to_json()]})
    stored = layout.put_bytes(media.OCI_MANIFEST, manifest)
    layout.add(Descriptor(stored.media_type, stored.digest, stored.size,
                          {"vnd.docker.reference.type": "attestation-manifest"}))
    assert found(layout) == []


def test_everything_that_is_wrong_comes_at_once(layout: Layout) -> None:
    with_config(layout, created="yesterday", history=[{"created_by": 1}], os=None)
    layout.put_bytes("", b"stray")
    layout.add(add_layer(layout, {"x": b""}).descriptor)
    with pytest.raises(ImageError, match="has 3 problems") as caught:
        verify_layout(layout.root, SilentProgress())
    assert caught.value.detail is not None and caught.value.hint
    lines = caught.value.detail.splitlines()
    assert [text for text in ("created: ", "history.0.created_by: ", "os: ", "no image refers", "is not checked")
            if not any(text in line for line in lines)] == []


def test_warnings_fail_only_when_asked(layout: Layout) -> None:
    layout.put_bytes("", b"stray")
    assert [finding.severity for finding in verify_layout(layout.root, SilentProgress())] == ["warning"]
    with pytest.raises(ImageError, match=r"has 1 problem$"):
        verify_layout(layout.root, SilentProgress(), strict=True)


def test_no_layout_no_findings(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="no OCI layout"):
        verify_layout(tmp_path, SilentProgress())
    assert os.listdir(tmp_path) == []
