"""A build that can't make all of its images leaves the layout as it was, to the last blob and name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from assembler.cli.app import app
from assembler.commands import write_images as writing
from assembler.errors import ChangesetError, ImageError
from assembler.image.layout import Layout
from tests.support.thin import busybox, rootfs, write_image

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from assembler.layer.entry import Entry

RECIPE = """
name = "two"

[vars]
word = "one"

[base]
layout = "./base"

[[file]]
path = "/opt/first"
content = "{{ word }} first"

[[file]]
path = "/opt/second"
content = "{{ word }} second"

[[image]]
name = "first"
keep = ["/opt/first"]

[[image]]
name = "second"
onto = "scratch"
keep = ["/opt/second"]
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("XDG_CACHE_HOME", "XDG_STATE_HOME", "IMGASM_CACHE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    write_image(Layout.create(tmp_path / "base"), "localhost/base:1", busybox(), rootfs({"opt/more": b"more"}))
    (tmp_path / "two.toml").write_text(RECIPE)
    return tmp_path


def build(*options: str) -> None:
    app(["build", "two.toml", "--output", "out", "--quiet", *options], standalone_mode=False)


def contents(layout: Path) -> dict[str, bytes]:
    return {str(path.relative_to(layout)): path.read_bytes() for path in layout.rglob("*") if path.is_file()}


def lose_the_last_entry(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """The layer that is written as ``number`` lacks what it should end with: the proof must refuse it."""
    write, calls = writing.write_layer, []

    def faulty(entries: Iterable[Entry], *rest: Any, **options: Any) -> Any:
        calls.append(entries)
        return write([*entries][:-1] if len(calls) == number else entries, *rest, **options)

    monkeypatch.setattr(writing, "write_layer", faulty)


@pytest.mark.parametrize("number", [1, 2])
def test_a_refused_layer_leaves_the_layout_as_it_was(
    folder: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    build("--prove")
    before = contents(folder / "out")
    assert len(Layout.open(folder / "out").index()) == 2

    lose_the_last_entry(monkeypatch, number)
    with pytest.raises(ChangesetError, match="the layer is not proved"):
        build("--prove", "--set", "word=two")
    assert contents(folder / "out") == before


@pytest.mark.parametrize("option", ["--prove", "--verify"])  # its former name
def test_a_refused_layer_leaves_a_new_layout_empty(folder: Path, monkeypatch: pytest.MonkeyPatch, option: str) -> None:
    lose_the_last_entry(monkeypatch, 2)
    with pytest.raises(ChangesetError, match="the layer is not proved"):
        build(option)
    assert sorted(contents(folder / "out")) == ["index.json", "oci-layout"]
    assert Layout.open(folder / "out").index() == ()


def test_an_image_that_can_not_be_made_takes_the_others_with_it(folder: Path) -> None:
    build()
    before = contents(folder / "out")
    text = (folder / "two.toml").read_text().replace('onto = "scratch"', 'onto = "./nowhere"')
    (folder / "two.toml").write_text(text)
    with pytest.raises(ImageError, match="nowhere is not an OCI layout"):
        build("--set", "word=two")
    assert contents(folder / "out") == before
