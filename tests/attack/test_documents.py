"""Manifests, indexes, configs and archives that broke other tools, 2019 to 2026: each is refused wherever it is.

A hostile image is tried as a layout, as an archive and in a registry. Each time it is either refused with an error of
imgasm's own, in bounded time and memory, or copied as the bytes that it is; and nothing is read or written but what is
named.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
import time
import tracemalloc
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from assembler.commands.copy import copy
from assembler.errors import ImageError, ImgasmError
from assembler.image.layout import Layout
from assembler.image.verify_layout import verify_layout
from assembler.model import media_types
from assembler.model.place import Place
from assembler.places.check_place import named_place
from assembler.places.put import PutOptions
from assembler.places.world import World
from assembler.places.world_settings import WorldSettings
from assembler.progress import SilentProgress
from tests.image.imagemaking import add_image
from tests.support.clocks import FakeTime
from tests.support.fault_registry import fault_registry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SECONDS: Final = 20.0
BYTES: Final = 96 << 20

Json = dict[str, Any]


@dataclass
class Image:
    """What a hostile image is made from: change it in place."""

    manifest: Json
    config: Json
    index: Json
    raw_manifest: bytes | None = None
    raw_index: bytes | None = None
    media_type: str = media_types.OCI_MANIFEST


def _both(image: Image) -> None:
    image.manifest["manifests"] = [image.manifest["config"]]


def _no_type(image: Image) -> None:
    """The same bytes as an index and as a manifest, whichever the Content-Type says."""
    _both(image)
    del image.manifest["mediaType"]


def _other_case(image: Image) -> None:
    image.manifest["Layers"] = []


def _twice(image: Image) -> None:
    image.raw_manifest = json.dumps(image.manifest).encode().replace(b'"layers"', b'"layers": [], "layers"')


def _escape_twice(image: Image) -> None:
    image.raw_manifest = json.dumps(image.manifest).encode().replace(b'"layers"', b'"\\u006cayers": [], "layers"')


def _many_keys(image: Image) -> None:
    keys = ",".join(f'"{number}":0' for number in range(150_000))
    image.raw_manifest = b'{"schemaVersion":2,"annotations":{' + keys.encode() + b',"0":1}}'


def _layer(key: str, value: object) -> Callable[[Image], None]:
    def change(image: Image) -> None:
        image.manifest["layers"][0][key] = value

    return change


def _config(key: str, value: object) -> Callable[[Image], None]:
    def change(image: Image) -> None:
        image.manifest["config"][key] = value

    return change


def _said(key: str, value: object) -> Callable[[Image], None]:
    """In the config's own bytes."""

    def change(image: Image) -> None:
        image.config[key] = value

    return change


def _top(key: str, value: object) -> Callable[[Image], None]:
    def change(image: Image) -> None:
        image.manifest[key] = value

    return change


def _raw(data: bytes) -> Callable[[Image], None]:
    def change(image: Image) -> None:
        image.raw_manifest = data

    return change


def _listed(key: str, value: object) -> Callable[[Image], None]:
    """In index.json."""

    def change(image: Image) -> None:
        image.index[key] = value

    return change


CASES: dict[str, Callable[[Image], None]] = {
    "CVE-2021-41190 a manifest that is an index, too": _both,
    "CVE-2021-41190 bytes without a type of their own": _no_type,
    "CVE-2021-41190 a type other than the one that was asked for": _top("mediaType", media_types.OCI_INDEX),
    "CVE-2021-41190 Docker's first schema beside the second": _top("fsLayers", []),
    "CVE-2021-41190 a key in another case": _other_case,
    "CVE-2021-41190 a key twice": _twice,
    "CVE-2021-41190 a key twice, once with an escape": _escape_twice,
    "CVE-2024-3727 a layer's digest is a path": _layer("digest", "sha256:../../../../etc/passwd"),
    "CVE-2024-3727 a config's digest is a path": _config("digest", "sha256:/etc/passwd"),
    "CVE-2024-3727 a digest of an algorithm that is a path": _layer("digest", "../../..:" + "0" * 64),
    "CVE-2024-3727 a digest in capitals": _layer("digest", "sha256:" + "A" * 64),
    "CVE-2024-3727 a digest that is too short": _layer("digest", "sha256:00"),
    "CVE-2024-3727 a digest with a line end": _layer("digest", "sha256:" + "0" * 64 + "\n"),
    "CVE-2020-1702 a manifest of 5 MB": _top("annotations", {"a": "x" * 5_000_000}),
    "CVE-2023-25153 a config that says it has a terabyte": _config("size", 1 << 40),
    "CVE-2023-25153 a config of 5 MB": _said("author", "x" * 5_000_000),
    "kind: 150,000 keys, one of them twice": _many_keys,
    "kind: 100,000 brackets": _raw(b"[" * 100_000),
    "kind: 50,000 objects in objects": _raw(b'{"a":' * 50_000 + b"1" + b"}" * 50_000),
    "kind: an integer of 5,000 digits": _raw(b'{"schemaVersion":' + b"9" * 5000 + b"}"),
    "kind: NaN": _raw(b'{"schemaVersion":NaN}'),
    "kind: UTF-16": _raw('{"schemaVersion":2}'.encode("utf-16")),
    "kind: a byte order mark": _raw(b"\xef\xbb\xbf" + b'{"schemaVersion":2}'),
    "kind: half a surrogate": _raw(b'{"schemaVersion":2,"mediaType":"\\ud800"}'),
    "kind: null": _raw(b"null"),
    "kind: a list": _raw(b"[]"),
    "kind: nothing": _raw(b""),
    "kind: layers is an object": _top("layers", {}),
    "kind: a layer is a number": _top("layers", [1]),
    "kind: config is a list": _top("config", []),
    "kind: no config": _top("config", None),
    "kind: a size below 0": _layer("size", -1),
    "kind: a size that is a fraction": _layer("size", 1.5),
    "kind: a size that is true": _layer("size", True),
    "kind: a size of 10^30": _layer("size", 10**30),
    "kind: another size than the bytes have": _layer("size", 3),
    "kind: diff_ids that are no digests": _said("rootfs", {"type": "layers", "diff_ids": ["../../x"]}),
    "kind: more diff_ids than layers": _said("rootfs", {"type": "layers", "diff_ids": ["sha256:" + "0" * 64] * 3}),
    "kind: rootfs is a list": _said("rootfs", []),
    "kind: an operating system that is a number": _said("os", 7),
    "kind: index.json lists a number": _listed("manifests", [7]),
    "kind: index.json lists itself as an object": _listed("manifests", {}),
    "kind: an index as schema 1": _listed("schemaVersion", 1),
}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "secret").write_text("of the host")
    return tmp_path


def made(home: Path, change: Callable[[Image], None]) -> Path:
    """The layout of a hostile image."""
    layout = Layout.create(home / "layout")
    image = add_image(layout, {"etc/file": b"content"})
    entry = {**image.descriptor.to_json(), "annotations": {"org.opencontainers.image.ref.name": "it"}}
    hostile = Image(json.loads(image.manifest_bytes), json.loads(image.config_bytes),
                    {"schemaVersion": 2, "mediaType": media_types.OCI_INDEX, "manifests": [entry]})  # fmt: skip
    config = json.dumps(hostile.config).encode()
    change(hostile)
    if (said := json.dumps(hostile.config).encode()) != config:
        hostile.manifest["config"] |= {"digest": _put(layout, said), "size": len(said)}
    data = hostile.raw_manifest if hostile.raw_manifest is not None else json.dumps(hostile.manifest).encode()
    entry |= {"digest": _put(layout, data), "size": len(data)}
    (layout.root / "index.json").write_text(json.dumps(hostile.index))
    return layout.root


def _put(layout: Layout, data: bytes) -> str:
    digest = hashlib.sha256(data).hexdigest()
    (layout.root / "blobs/sha256" / digest).write_bytes(data)
    return f"sha256:{digest}"


def archived(layout: Path) -> Path:
    path = layout.with_suffix(".tar")
    with tarfile.open(path, "w") as tar:
        tar.add(layout, "")
    return path


def everywhere(home: Path, layout: Path) -> Iterator[tuple[str, Callable[[], object]]]:
    world = World.from_settings(WorldSettings({"HOME": str(home)}), SilentProgress(), FakeTime().clock)

    def copied(source: str, target: str) -> Callable[[], object]:
        return lambda: copy(named_place(source), None, Place.target(target), world, PutOptions())

    yield "layout", copied(f"oci:{layout}", f"oci:{home}/out1:it")
    yield "archive", copied(f"oci-archive:{archived(layout)}", f"oci:{home}/out2:it")
    index = json.loads((layout / "index.json").read_bytes())
    with fault_registry() as registry:
        for entry in index["manifests"] if isinstance(index["manifests"], list) else ():
            if isinstance(entry, dict):
                data = (layout / "blobs/sha256" / entry["digest"][7:]).read_bytes()
                registry.manifests["app", "1"] = entry["mediaType"], data
        for path in layout.glob("blobs/sha256/*"):
            registry.blobs["app", f"sha256:{path.name}"] = path.read_bytes()
        yield "registry", copied(f"docker://{registry.host}/app:1", f"oci:{home}/out3:it")


@pytest.mark.parametrize("name", CASES)
def test_a_hostile_document_is_refused_wherever_it_is(home: Path, name: str) -> None:
    layout = made(home, CASES[name])
    begin = time.process_time()
    tracemalloc.start()
    findings = verify_layout(Layout(layout))
    assert any(finding.severity == "error" for finding in findings)
    assert all(finding.what.isprintable() for finding in findings)
    for place, take in everywhere(home, layout):
        try:
            take()
        except ImgasmError as error:
            assert error.exit_code in (8, 9), (place, error)
        else:  # its own bytes, for whoever verifies them
            assert any(path.name == "index.json" for path in home.glob("out*/*"))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert time.process_time() - begin < SECONDS and peak < BYTES
    assert sorted(path.name for path in home.iterdir() if not path.name.startswith((".", "out"))) == [
        "layout", "layout.tar", "secret"]  # fmt: skip
    for out in home.glob("out*"):
        for blob in out.glob("blobs/sha256/*"):
            assert hashlib.sha256(blob.read_bytes()).hexdigest() == blob.name


ARCHIVES: dict[str, list[tuple[str, bytes, bytes, str]]] = {
    "kind: the index is a symlink": [("index.json", tarfile.SYMTYPE, b"", "/etc/passwd")],
    "kind: a blob is a hard link out of the archive": [
        ("blobs/sha256/" + "0" * 64, tarfile.LNKTYPE, b"", "/etc/passwd")],
    "kind: oci-layout is a FIFO": [("oci-layout", tarfile.FIFOTYPE, b"", "")],
    "kind: index.json is a device": [("index.json", tarfile.CHRTYPE, b"", "")],
    "CVE-2023-25153 containerd: an index.json of 20 MB": [("index.json", tarfile.REGTYPE, b" " * (20 << 20), "")],
    "kind: manifest.json names a path that leads out": [
        ("manifest.json", tarfile.REGTYPE, b'[{"Config":"../../etc/passwd","RepoTags":[],"Layers":["../x"]}]', "")],
    "kind: manifest.json is no list": [("manifest.json", tarfile.REGTYPE, b'{"Config":"a"}', "")],
    "kind: manifest.json twice": [
        ("manifest.json", tarfile.REGTYPE, b"[]", ""), ("manifest.json", tarfile.REGTYPE, b"[1]", "")],
    "kind: a layer that is a symlink to itself": [
        ("manifest.json", tarfile.REGTYPE, b'[{"Config":"c","RepoTags":[],"Layers":["l"]}]', ""),
        ("c", tarfile.REGTYPE, b"{}", ""), ("l", tarfile.SYMTYPE, b"", "l")],
}  # fmt: skip


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
@pytest.mark.parametrize("name", ARCHIVES)
def test_a_hostile_archive_is_refused(home: Path, name: str, packed: bool) -> None:
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w") as tar:
        for path, kind, content, link in ARCHIVES[name]:
            member = tarfile.TarInfo(path)
            member.type, member.size, member.linkname = kind, len(content), link
            tar.addfile(member, io.BytesIO(content))
    (home / "evil.tar").write_bytes(gzip.compress(sink.getvalue()) if packed else sink.getvalue())
    world = World.from_settings(WorldSettings({"HOME": str(home)}), SilentProgress())
    with pytest.raises(ImageError):
        copy(named_place(f"{home}/evil.tar"), None, Place.target(f"oci:{home}/out:it"), world, PutOptions())
    assert not list(home.glob("out/blobs/*/*"))
