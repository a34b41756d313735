"""What is named by mistake is said as what it is, and is no question to a registry."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from assembler.image.layout import Layout
from tests.support.forked import Forked
from tests.support.thin import busybox, rootfs, write_image

if TYPE_CHECKING:
    from pathlib import Path

RECIPE = """
name = "sample"
[base]
layout = "base"
[[file]]
path = "/opt/a"
content = "a"
[[image]]
name = "sample"
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_image(Layout.create(tmp_path / "base"), "localhost/base:1", busybox(), rootfs({"opt/more": b"more"}))
    (tmp_path / "sample.toml").write_text(RECIPE)
    return tmp_path


def said(folder: Path, *arguments: str, status: int = 2) -> str:
    """Standard error. A question to a registry would end in exit code 9."""
    done = Forked(folder)(*arguments, status=status)
    assert "tar archive is damaged" not in done.stderr
    return done.stderr


@pytest.mark.parametrize("command", [["size-report"], ["verify"], ["push"], ["compare", "base"]], ids=" ".join)
class TestEachReadingCommand:
    def test_a_recipe(self, folder: Path, command: list[str]) -> None:
        told = said(folder, *command, "sample.toml")
        assert "sample.toml is a recipe, not an image" in told
        assert "`imgasm build sample.toml makes its images` in build/sample" in told
        said(folder, "build", "sample.toml", status=0)
        assert "Its images are in build/sample: name that" in said(folder, *command, "sample.toml")

    def test_the_name_of_a_build(self, folder: Path, command: list[str]) -> None:
        said(folder, "build", "sample.toml", status=0)
        told = said(folder, *command, "sample")
        assert "There is nothing at sample\nhint: The build of that name is in build/sample" in told

    @pytest.mark.parametrize("what", ["nowhere", "build/nowhere", "a/b/c.tar", "/nowhere/x", "oci:nowhere"])
    def test_a_path_that_does_not_exist(self, folder: Path, command: list[str], what: str) -> None:
        assert f"There is nothing at {what.removeprefix('oci:')}\nhint: " in said(folder, *command, what)

    def test_a_part_of_a_layout(self, folder: Path, command: list[str]) -> None:
        told = said(folder, *command, "base/index.json")
        assert "base/index.json is a part of the OCI layout" in told
        assert f"Name the directory: {folder / 'base'}" in told


@pytest.mark.parametrize(("content", "words"), [(b"", "is empty"), (b"hello\n", "is a text file, not an archive"),
                                                ("größer\n".encode(), "is a text"), (b"{}", "is a text")])  # fmt: skip
def test_a_file_that_is_no_archive(folder: Path, content: bytes, words: str) -> None:
    (folder / "file").write_bytes(content)
    assert words in said(folder, "size-report", "file", status=8)


def test_a_reference_is_still_one(folder: Path) -> None:
    """Nobody listens on port 1 of this machine."""
    for reference in ("127.0.0.1:1/a", "localhost:1/a:b", "docker://127.0.0.1:1/build/a"):
        assert "127.0.0.1:1" in said(folder, "size-report", reference, status=9) or "localhost:1" in reference
