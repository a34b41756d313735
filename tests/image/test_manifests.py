"""What leads from a reference to its blobs: documents, Docker's form of them, indexes, and where blobs are."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from assembler.errors import ImageError
from assembler.image.assemble import BaseImage, compose
from assembler.image.blob_origins import missing, origins, with_origins
from assembler.image.compose_index import compose_index
from assembler.image.config import ImageSettings, NewLayer
from assembler.image.docker_types import as_docker
from assembler.image.layout import Layout
from assembler.image.manifests import blobs_of, closure
from assembler.model import media_types
from assembler.model.descriptor import Descriptor, canonical_json
from assembler.model.digest import Digest
from assembler.model.reference import Reference
from assembler.model.run_config import RunConfig
from tests.image.imagemaking import AMD64, add_image, add_layer
from tests.support.images import write_index

FILES: dict[str, bytes | None] = {"opt": None, "opt/file": b"content"}


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout.create(tmp_path / "layout")


def test_children_come_before_their_index_and_blobs_once(layout: Layout) -> None:
    one = add_image(layout, FILES)
    two = add_image(layout, FILES, {"opt/more": b"more"})
    index = write_index(layout, [one, two])
    documents = list(closure(index, layout.read))

    assert [document.descriptor.digest for document in documents] == [
        one.descriptor.digest, two.descriptor.digest, index.digest,
    ]  # fmt: skip
    blobs = [blob.digest for blob in blobs_of(documents)]
    assert len(blobs) == len(set(blobs)) == 4  # two configs, two layers of which one is shared
    assert documents[-1].blobs() == [] and documents[0].children() == []


def test_indexes_in_indexes_end_somewhere(layout: Layout) -> None:
    entry = add_image(layout, FILES).descriptor
    for _ in range(3):
        data = canonical_json({"schemaVersion": 2, "mediaType": media_types.OCI_INDEX, "manifests": [entry.to_json()]})
        entry = layout.put_bytes(media_types.OCI_INDEX, data)
    with pytest.raises(ImageError, match="nested too deeply"):
        list(closure(entry, layout.read))


def test_docker_types_for_the_same_blobs(layout: Layout) -> None:
    image = add_image(layout, FILES, codec="gzip")
    docker = as_docker(image)

    assert docker.descriptor.media_type == docker.manifest["mediaType"] == media_types.DOCKER_MANIFEST
    assert docker.config_bytes == image.config_bytes
    assert [(layer.media_type, layer.digest) for layer, _ in docker.layers] == [
        (media_types.DOCKER_LAYER_GZIP, image.layers[0][0].digest)
    ]
    assert as_docker(docker) == docker


def test_docker_can_not_hold_zstd(layout: Layout) -> None:
    with pytest.raises(ImageError, match=r"tar\+zstd, which Docker's manifests can't hold"):
        as_docker(add_image(layout, FILES, codec="zstd"))


def test_an_indexs_entries_tell_what_to_choose_by_and_nothing_of_the_base(layout: Layout) -> None:
    base = BaseImage(add_image(layout, FILES), Reference.parse("example.com/base:1"))
    images = [
        compose(base, add_layer(layout, {"a": kernel.encode()}), ImageSettings(RunConfig(), AMD64, {"kernel": kernel}))
        for kernel in ("6.1", "6.6")
    ]
    index = compose_index(images)

    assert [entry.annotations for entry in index.children()] == [{"kernel": "6.1"}, {"kernel": "6.6"}]
    assert [entry.extra["platform"] for entry in index.children()] == [AMD64.to_json()] * 2
    assert index == compose_index(images)


@pytest.mark.parametrize(("entrypoint", "cmd", "expected"), [
    (None, None, (["/load", "/entry"], ["serve"])),
    (("/other",), None, (["/load", "/other"], None)),
    ((), ("sh",), (["/load"], ["sh"])),
])  # fmt: skip
def test_a_launcher_stands_before_what_the_image_would_run(
    layout: Layout, entrypoint: tuple[str, ...] | None, cmd: tuple[str, ...] | None,
    expected: tuple[list[str], list[str] | None],
) -> None:
    base = add_image(layout, FILES, run=RunConfig(entrypoint=("/entry",), cmd=("serve",)))
    run = RunConfig(entrypoint=entrypoint, cmd=cmd, launcher=("/load",))
    config = compose(BaseImage(base), add_layer(layout, {"a": b""}), ImageSettings(run, AMD64)).config["config"]
    assert (config["Entrypoint"], config.get("Cmd")) == expected


def test_origins_are_told_by_the_list_and_by_the_base_s_name(layout: Layout) -> None:
    base = BaseImage(add_image(layout, FILES), Reference.parse("example.com/team/base:1"))
    layer = add_layer(layout, {"a": b"a"})
    image = compose(base, NewLayer(layer.descriptor, layer.diff_id), ImageSettings(RunConfig(), AMD64))
    listed = with_origins(image.descriptor, [Reference.parse("example.com/team/other"), Reference.parse("ann/base")])
    listed = with_origins(listed, [Reference.parse("example.com/more")])

    assert listed.annotations == {
        "containerd.io/distribution.source.example.com": "team/other,more",
        "containerd.io/distribution.source.docker.io": "ann/base",
    }
    assert set(map(str, origins(listed, image))) == {
        "example.com/team/other", "example.com/more", "docker.io/ann/base", "example.com/team/base",
    }  # fmt: skip


@pytest.mark.parametrize("value", ["", "../up", "UPPER", "a/b c"])
def test_what_names_no_repository_is_passed_over(value: str) -> None:
    listed = Descriptor(media_types.OCI_MANIFEST, Digest.of(b""), 0,
                        {"containerd.io/distribution.source.example.com": value})
    assert origins(listed) == ()


def test_missing_layers(layout: Layout) -> None:
    image = add_image(layout, FILES, {"b": b"b"})
    assert missing(layout, image) == []
    layout.path(image.layers[0][0].digest).unlink()
    assert missing(layout, image) == [image.layers[0][0]]


def test_a_document_is_its_bytes(layout: Layout) -> None:
    document = add_image(layout, FILES).document
    assert Digest.of(document.data) == document.descriptor.digest
    assert document != replace(document, data=b"")
