"""The last two of the twelve things that bite: what engines load (the others: tests/registry/test_twelve_things.py)."""

from __future__ import annotations

import io
import json
import os
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest
from imagemaking import add_image, run, tarball

from assembler.errors import ImageError
from assembler.image.image import Image
from assembler.image.layout import Layout
from assembler.image.verify_layout import verify_layout
from assembler.image.write_archive import write_archive
from assembler.model.digest import Digest
from assembler.model.reference import Reference

FILES = tarball({"a": b"1" * 1000})


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout.create(tmp_path / "layout")


def members(archive: bytes) -> dict[str, Any]:
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        files = {member.name: tar.extractfile(member) for member in tar if member.isfile()}
        return {name: file.read() for name, file in files.items() if file is not None}


@pytest.mark.engine
def test_11_docker_needs_manifest_json_and_gets_it_with_the_same_gzip_blob(layout: Layout) -> None:
    """Docker's classic store loads nothing without manifest.json; containerd's reads index.json when it is there."""
    image = add_image(layout, FILES, codec="gzip")
    reference = Reference.parse(f"example.com/imgasm-test-11:{os.getpid()}")
    sink = io.BytesIO()
    write_archive(layout, [(image, [reference])], sink)
    found = members(sink.getvalue())
    assert {"manifest.json", "index.json", "oci-layout"} <= found.keys()
    (entry,) = json.loads(found["manifest.json"])
    (layer, _), = image.layers
    assert entry["Layers"] == [f"blobs/sha256/{layer.digest.hex}"]
    assert json.loads(found["index.json"])["manifests"][0]["digest"] == str(image.descriptor.digest)
    try:
        subprocess.run(["docker", "load", "-q"], input=sink.getvalue(), check=True, capture_output=True)
        loaded = json.loads(run("docker", "image", "inspect", str(reference)))[0]
        assert loaded["RootFS"]["Layers"] == [str(Digest.of(FILES))]
    finally:
        subprocess.run(["docker", "image", "rm", "-f", str(reference)], check=False, capture_output=True)


def test_12_a_wrong_diff_id_does_not_get_past_imgasm(layout: Layout) -> None:
    """podman 4.3 takes such an archive without a word, so that it proves nothing when podman loads an image."""
    image = add_image(layout, FILES, codec="zstd")
    config = json.loads(image.config_bytes) | {
        "rootfs": {"type": "layers", "diff_ids": [str(Digest.of(b"something else"))]}
    }
    wrong = layout.put_bytes(image.config_descriptor.media_type, json.dumps(config).encode())
    manifest = json.loads(image.manifest_bytes) | {"config": wrong.to_json()}
    layout.tag(layout.put_bytes(image.descriptor.media_type, json.dumps(manifest).encode()), Reference.parse("r/a:v1"))

    assert any("unpacks to" in finding.what for finding in verify_layout(layout) if finding.severity == "error")
    broken = Image(image.descriptor, image.manifest, image.manifest_bytes, image.config_descriptor, image.config,
                   image.config_bytes, ((image.layers[0][0], Digest.of(b"something else")),))
    with pytest.raises(ImageError, match="does not hold"):
        write_archive(layout, [(broken, [])], io.BytesIO(), plain_layers=True)
