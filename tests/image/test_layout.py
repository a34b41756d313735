"""A layout on a real file system: whole blobs, names, several writers, hostile directories."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from imagemaking import add_image, add_layer, run

from assembler.errors import FileError, ImageError
from assembler.image.annotations import FULL_NAME, REF_NAME
from assembler.image.layout import Layout
from assembler.model.descriptor import Descriptor
from assembler.model.digest import Digest
from assembler.model.reference import Reference

FILES: dict[str, bytes | None] = {"hello": b"world"}
V1 = Reference.parse("example.com/team/tool:v1")
V2 = Reference.parse("example.com/team/tool:v2")


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout.create(tmp_path / "layout")


def names(layout: Layout) -> dict[str, str]:
    return {entry.annotations.get(FULL_NAME, ""): str(entry.digest) for entry in layout.index()}


def test_a_new_layout_is_empty_and_opens_again(tmp_path: Path) -> None:
    layout = Layout.create(tmp_path / "a" / "b")
    assert layout.index() == ()
    assert json.loads((layout.root / "oci-layout").read_bytes()) == {"imageLayoutVersion": "1.0.0"}
    data = layout.put_bytes("text/plain", b"kept")
    assert Layout.create(layout.root).read(data, 10) == b"kept"


def test_a_directory_with_other_things_is_refused(tmp_path: Path) -> None:
    (tmp_path / "precious").write_bytes(b"")
    with pytest.raises(ImageError, match="not an OCI layout"):
        Layout.create(tmp_path)
    assert os.listdir(tmp_path) == ["precious"]


@pytest.mark.parametrize("content", ['{"imageLayoutVersion":"1.1.0"}', "{}", "[]", "", '{"imageLayoutVersion":1}'])
def test_other_versions_are_refused(layout: Layout, content: str) -> None:
    (layout.root / "oci-layout").write_text(content)
    with pytest.raises(ImageError):
        Layout.open(layout.root)


def test_a_blob_is_whole_or_not_there(layout: Layout) -> None:
    with layout.new_blob() as writer:
        writer.write(b"one ")
        writer.write(memoryview(b"two"))
        digest = writer.commit()
    assert layout.path(digest).read_bytes() == b"one two"
    assert layout.path(digest).stat().st_mode & 0o7777 == 0o644
    with pytest.raises(RuntimeError), layout.new_blob() as writer:
        writer.write(b"half")
        raise RuntimeError
    with layout.new_blob() as writer:
        writer.write(b"forgotten")
    assert list(layout.blobs()) == [digest]
    assert sorted(os.listdir(layout.root)) == ["blobs", "index.json", "oci-layout"]


def test_bytes_that_are_not_what_was_expected_are_not_kept(layout: Layout) -> None:
    with pytest.raises(ImageError, match="should be"), layout.new_blob() as writer:
        writer.write(b"other")
        writer.commit(Digest.of(b"expected"))
    assert list(layout.blobs()) == []


def test_a_caller_that_hashed_itself_is_believed(layout: Layout) -> None:
    with layout.new_blob(hashed=False) as writer:
        writer.write(b"data")
        writer.commit(Digest.of(b"data"))
    assert layout.read(Descriptor("", Digest.of(b"data"), 4)) == b"data"


def test_a_killed_writer_leaves_nothing_under_a_final_name(layout: Layout) -> None:
    script = ("import os, signal, sys; from pathlib import Path; from assembler.image.layout import Layout\n"
              "with Layout.open(Path(sys.argv[1])).new_blob() as blob:\n"
              "    blob.write(b'x' * 100_000); os.kill(os.getpid(), signal.SIGKILL)")
    subprocess.run([sys.executable, "-c", script, layout.root], check=False)
    assert len(list(layout.root.glob(".incoming-*"))) == 1
    with layout.new_blob() as living:
        layout.remove_unreferenced()
        living.write(b"still here")
        assert living.commit() == Digest.of(b"still here")
    assert list(layout.root.glob(".incoming-*")) == []


def test_a_full_disk_is_named(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    # A double: filling a real disk would take one of known size, and root.
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(FileError, match=f"{layout.root}: No space left") as raised:
        layout.put_bytes("", b"data")
    assert "Free some space" in (raised.value.hint or "")
    assert list(layout.blobs()) == []


def test_damaged_and_missing_blobs_are_errors(layout: Layout) -> None:
    descriptor = layout.put_bytes("", b"good")
    layout.path(descriptor.digest).write_bytes(b"evil")
    with pytest.raises(ImageError, match="does not match its digest"):
        layout.read(descriptor)
    layout.path(descriptor.digest).write_bytes(b"longer")
    assert not layout.has(descriptor)
    layout.path(descriptor.digest).unlink()
    with pytest.raises(ImageError, match="has no blob"):
        layout.read(descriptor)
    with pytest.raises(ImageError, match="at most 3"):
        layout.read(descriptor, 3)


def test_symbolic_links_inside_are_not_followed(layout: Layout, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"key")
    descriptor = Descriptor("", Digest.of(b"key"), 3)
    layout.path(descriptor.digest).symlink_to(secret)
    assert not layout.has(descriptor)
    with pytest.raises(ImageError):
        layout.read(descriptor)
    os.rename(layout.root / "blobs" / "sha256", tmp_path / "elsewhere")
    (layout.root / "blobs" / "sha256").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ImageError, match="symbolic link"):
        Layout.open(layout.root)


def test_a_name_moves_from_image_to_image(layout: Layout) -> None:
    old, new = add_image(layout, {"a": b"1"}).descriptor, add_image(layout, {"a": b"2"}).descriptor
    layout.add(old)
    layout.tag(old, V1)
    layout.tag(old, V2)
    assert names(layout) == {str(V1): str(old.digest), str(V2): str(old.digest)}
    layout.tag(new, V1)
    assert names(layout) == {str(V1): str(new.digest), str(V2): str(old.digest)}
    assert layout.find(str(V1)).digest == new.digest
    assert layout.find("v2").digest == layout.find(old.digest).digest == old.digest
    assert layout.find("v2").annotations == {FULL_NAME: str(V2), REF_NAME: "v2"}
    layout.tag(new, V2)
    freed = layout.remove_unreferenced()
    assert freed > 0
    assert set(layout.blobs()) == {new.digest, *(d.digest for d in _children(layout, new))}


def _children(layout: Layout, descriptor: Descriptor) -> list[Descriptor]:
    manifest = json.loads(layout.read(descriptor))
    return [Descriptor.from_json(value) for value in (manifest["config"], *manifest["layers"])]


def test_finding_tells_what_there_is(layout: Layout) -> None:
    with pytest.raises(ImageError, match="no image") as caught:
        layout.find()
    assert caught.value.hint == "It holds: none."
    layout.tag(add_image(layout, {"a": b"1"}).descriptor, V1)
    layout.tag(add_image(layout, {"a": b"2"}).descriptor, V2)
    with pytest.raises(ImageError, match="more than one image") as caught:
        layout.find()
    assert caught.value.hint == f"It holds: {V1}, {V2}."


def test_several_writers_lose_no_name(layout: Layout) -> None:
    image = add_image(layout, FILES).descriptor
    tags = [Reference.parse(f"example.com/x:{number}") for number in range(24)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda tag: Layout.open(layout.root).tag(image, tag), tags))
    assert set(names(layout)) == {str(tag) for tag in tags}


def test_a_blob_is_adopted_as_a_hard_link(layout: Layout, tmp_path: Path) -> None:
    other = Layout.create(tmp_path / "other")
    descriptor = add_layer(other, FILES).descriptor
    layout.adopt(other, descriptor)
    assert layout.path(descriptor.digest).samefile(other.path(descriptor.digest))


@pytest.mark.root
def test_a_blob_is_no_link_to_what_somebody_else_can_change(layout: Layout, tmp_path: Path) -> None:
    other = Layout.create(tmp_path / "other")
    theirs, writable = (add_layer(other, {"file": name}).descriptor for name in (b"theirs", b"writable"))
    os.chown(other.path(theirs.digest), 1000, 1000)
    other.path(writable.digest).chmod(0o666)
    for descriptor in (theirs, writable):
        layout.adopt(other, descriptor)
        assert layout.read(descriptor) == other.read(descriptor)
        assert not layout.path(descriptor.digest).samefile(other.path(descriptor.digest))


def test_a_blob_takes_the_place_of_a_torn_one(layout: Layout, tmp_path: Path) -> None:
    """What a full disk or a power cut left under the final name."""
    other = Layout.create(tmp_path / "other")
    descriptor = add_layer(other, FILES).descriptor
    torn = layout.path(descriptor.digest)
    torn.parent.mkdir(parents=True, exist_ok=True)
    torn.write_bytes(other.read(descriptor)[:-1])
    assert not layout.has(descriptor)
    layout.adopt(other, descriptor)
    assert layout.has(descriptor) and layout.read(descriptor) == other.read(descriptor)


def test_a_blob_on_another_file_system_is_copied_and_checked(layout: Layout) -> None:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as directory:
        other = Layout.create(Path(directory))
        descriptor = add_layer(other, FILES).descriptor
        layout.adopt(other, descriptor)
        assert layout.read(descriptor) == other.read(descriptor)
        second = other.put_bytes("", b"good")
        other.path(second.digest).write_bytes(b"evil")
        with pytest.raises(ImageError, match="should be"):
            layout.adopt(other, second)
    assert not layout.has(second)


@pytest.mark.parametrize("index", [
    "null", "[]", '{"schemaVersion":2,"manifests":{}}', '{"schemaVersion":2,"manifests":[1]}',
    '{"schemaVersion":2,"manifests":[],"manifests":[]}', '{"schemaVersion":2,"Manifests":[]}',
    '{"schemaVersion":2,"manifests":[],"config":{}}', '{"schemaVersion":1,"manifests":[]}', "[" * 100_000,
    '{"schemaVersion":2,"manifests":[{"mediaType":"a","size":1,"digest":"sha256:../../../etc/passwd"}]}',
])
def test_a_hostile_index_is_an_error(layout: Layout, index: str) -> None:
    (layout.root / "index.json").write_text(index)
    with pytest.raises(ImageError):
        layout.index()


def test_manifests_null_is_an_empty_list(layout: Layout) -> None:
    (layout.root / "index.json").write_text('{"schemaVersion":2,"manifests":null}')
    assert layout.index() == ()


@pytest.mark.parametrize("codec", ["gzip", "zstd", "none"])
def test_skopeo_reads_what_we_write(layout: Layout, tmp_path: Path, codec: str) -> None:
    layout.tag(add_image(layout, FILES, {"second": b"layer"}, codec=codec).descriptor, V1)
    run("skopeo", "copy", f"oci:{layout.root}:v1", f"dir:{tmp_path / 'out'}")
    assert json.loads((tmp_path / "out" / "manifest.json").read_bytes())["schemaVersion"] == 2


def test_umoci_unpacks_what_we_write(layout: Layout, tmp_path: Path) -> None:
    layout.tag(add_image(layout, FILES, {"hello": b"again"}).descriptor, V1)
    run("umoci", "unpack", "--rootless", "--image", f"{layout.root}:v1", tmp_path / "bundle")
    assert (tmp_path / "bundle" / "rootfs" / "hello").read_bytes() == b"again"


def test_we_read_and_keep_what_skopeo_wrote(layout: Layout, tmp_path: Path) -> None:
    image = add_image(layout, FILES)
    layout.tag(image.descriptor, V1)
    run("skopeo", "copy", f"oci:{layout.root}:v1", f"oci:{tmp_path / 'copy'}:old")
    copy = Layout.open(tmp_path / "copy")
    copy.tag(add_image(copy, {"new": b""}).descriptor, V1)
    assert copy.find("old").digest == image.descriptor.digest
    assert len(copy.index()) == 2
