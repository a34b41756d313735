"""Waste and efficiency of layers, against umoci's unpacking, du, and dive's own method."""

from __future__ import annotations

import io
import random
import tarfile
from collections import Counter
from pathlib import Path

import pytest

from assembler.errors import ImageError
from assembler.image.layout import Layout
from assembler.model.reference import Reference
from assembler.report import visible_files as limits
from assembler.report.image_layers import Contents, contents_of
from assembler.report.visible_files import VisibleFiles
from tests.image.imagemaking import add_image, run, tarball

Files = dict[str, bytes | None]


def contents(*layers: Files | bytes) -> Contents:
    rootfs = VisibleFiles()
    for layer in layers:
        rootfs.apply(io.BytesIO(layer if isinstance(layer, bytes) else tarball(layer)))
    return contents_of(rootfs)


def wasted(*layers: Files | bytes) -> dict[str, int]:
    return {waste.path: waste.bytes for waste in contents(*layers).wasted_paths}


def linked(name: str, size: int, *links: str) -> bytes:
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w") as tar:
        info = tarfile.TarInfo(name)
        info.size = size
        tar.addfile(info, io.BytesIO(bytes(size)))
        for link in links:
            info = tarfile.TarInfo(link)
            info.type, info.linkname = tarfile.LNKTYPE, name
            tar.addfile(info)
    return sink.getvalue()


BASE: Files = {"a/": None, "a/x": b"x" * 10, "a/y": b"y" * 20, "b": b"b" * 5}


@pytest.mark.parametrize(
    ("layers", "expected"),
    [
        ([BASE], {}),
        ([BASE, {"a/x": b"z" * 7}], {"/a/x": 10}),
        ([BASE, {"a/x": b"z" * 7}, {"a/x": b"w"}], {"/a/x": 17}),
        ([BASE, {"a/.wh.x": b""}], {"/a/x": 10}),
        ([BASE, {"a/.wh.x": b""}, {"a/x": b"new"}], {"/a/x": 10}),
        ([BASE, {".wh.a": b""}], {"/a/x": 10, "/a/y": 20}),
        ([BASE, {"a/.wh..wh..opq": b"", "a/x": b"w"}], {"/a/x": 10, "/a/y": 20}),
        # A whiteout sees lower layers only, wherever it stands in its own.
        ([BASE, {"a/x": b"w", "a/.wh..wh..opq": b""}], {"/a/x": 10, "/a/y": 20}),
        ([BASE, {"a/n": b"n", ".wh.a": b""}], {"/a/x": 10, "/a/y": 20}),
        ([BASE, {".wh.a": b""}, {".wh.a": b""}], {"/a/x": 10, "/a/y": 20}),
        # A file takes a directory's place, and the other way round.
        ([BASE, {"a": b"file"}], {"/a/x": 10, "/a/y": 20}),
        ([BASE, {"b/c": b"c"}], {"/b": 5}),
        ([BASE, {".wh.nothing": b"", "c/.wh.x": b""}], {}),
        # The content of a linked file is wasted when its last name is gone.
        ([linked("f", 9, "g", "h"), {".wh.f": b"", ".wh.g": b""}], {}),
        ([linked("f", 9, "g"), {".wh.f": b"", "g": b"w"}], {"/g": 9}),
        ([linked("f", 9, "f")], {}),
    ],
)
def test_what_nobody_sees_is_wasted_once(layers: list[Files | bytes], expected: dict[str, int]) -> None:
    assert wasted(*layers) == expected
    found = contents(*layers)
    assert found.wasted == sum(expected.values())
    assert sum(found.table.sizes) == found.bytes - found.wasted


def random_layers(seed: int) -> list[Files]:
    chance = random.Random(seed)
    names = [f"{directory}/{name}" for directory in ("a", "a/b", "c", "d/e/f") for name in "123"]
    layers: list[Files] = [{name: chance.randbytes(chance.randrange(1, 5000)) for name in names}]
    for _ in range(3):
        layer: Files = {name: chance.randbytes(chance.randrange(1, 5000)) for name in chance.sample(names, 4)}
        for gone in chance.sample([*names, "a/b", "d/e"], 2):
            directory, _, name = gone.rpartition("/")
            if not any(path == gone or path.startswith(f"{gone}/") for path in layer):
                layer[f"{directory}/.wh.{name}"] = b""
        layers.append(layer)
    return layers


@pytest.mark.parametrize("seed", range(4))
def test_umoci_and_du_see_what_is_not_wasted(seed: int, tmp_path: Path) -> None:
    layout = Layout.create(tmp_path / "layout")
    layers = random_layers(seed)
    layout.tag(add_image(layout, *layers).descriptor, Reference.parse("localhost/x:latest"))
    run("umoci", "raw", "unpack", "--rootless", "--image", f"{layout.root}:latest", tmp_path / "rootfs")
    shown = run("find", tmp_path / "rootfs", "-type", "f", "-printf", "%s\\n").split()
    # Whether du counts directories, too, differs between its releases.
    du = ["du", "--apparent-size", "--bytes"]
    told = run("find", tmp_path / "rootfs", "-type", "f", "-exec", *du, "{}", "+").split()

    found = contents(*layers)
    assert found.bytes - found.wasted == sum(map(int, shown)) == sum(map(int, told[::2]))
    assert found.bytes == sum(len(data or b"") for layer in layers for data in layer.values())
    assert found.wasted > 0


def dives_efficiency(layers: list[Files]) -> float:
    """The least size that each path had, by the sum of all its sizes (dive/filetree/efficiency.go); removed is 0."""
    sizes: dict[str, list[int]] = {}
    for layer in layers:
        for path, data in layer.items():
            if data is not None:
                sizes.setdefault(path.replace(".wh.", ""), []).append(len(data))
    return sum(map(min, sizes.values())) / sum(map(sum, sizes.values()))


def test_the_efficiency_is_dives() -> None:
    """Where dive counts once: files of unchanged size written again, single files removed."""
    layers: list[Files] = [BASE, {"a/x": b"X" * 10, "c": b"c" * 50}, {".wh.b": b"", "c": b"C" * 50}]
    assert contents(*layers).efficiency == pytest.approx(dives_efficiency(layers)) == pytest.approx(80 / 145)


def test_an_empty_image_wastes_nothing() -> None:
    assert (contents({}).efficiency, contents().bytes) == (1.0, 0)


def test_files_equal_to_each_other_and_their_layers() -> None:
    found = contents({"a": b"a" * 5000, "b": b"b" * 5000}, {"c": b"a" * 5000, "d": b"a" * 10, "e": b"a" * 10})
    (hint,) = found.hints
    assert (hint.kind, hint.files, hint.bytes, hint.examples) == ("equal", 1, 5000, ("/c",))
    assert Counter(found.table.steps) == {0: 2, 1: 3}


def test_packages_come_from_the_database_in_the_layers() -> None:
    found = contents(
        {"var/lib/dpkg/info/kmod.list": b"/.\n/lib\n/lib/x.so\n/usr/bin/kmod\n", "usr/lib/x.so": b"x"},
        {"usr/bin/kmod": b"k"},
    )
    owners = {row.path: row.package for row in found.table.rows()}
    assert (owners["/usr/bin/kmod"], owners["/usr/lib/x.so"]) == ("kmod", None)


def test_more_files_than_any_image_has_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "_MOST_ENTRIES", 10)
    with pytest.raises(ImageError, match="more than 10 entries"):
        contents({f"{number}": b"" for number in range(11)})
    with pytest.raises(ImageError, match="more than 10 entries"):
        contents({"/".join("abcdefghijklm"): b""})
