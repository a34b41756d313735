"""Several builds into one layout: one record each, none overwritten, no entry of index.json lost."""

from __future__ import annotations

import json
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from assembler.image.layout import Layout
from tests.commands.test_reports import Imgasm

RECIPE = """
name = "{name}"
[base]
rootfs = "rootfs.tar"
[[file]]
path = "/opt/{name}"
content = "{content}"
[[image]]
name = "{name}"
{more}
"""


@pytest.fixture
def imgasm(tmp_path: Path) -> Imgasm:
    with tarfile.open(tmp_path / "rootfs.tar", "w") as tar:
        directory = tarfile.TarInfo("opt")
        directory.type = tarfile.DIRTYPE
        tar.addfile(directory)
    return Imgasm(tmp_path)


def recipe(imgasm: Imgasm, name: str, content: str = "content", more: str = "") -> str:
    (imgasm.directory / f"{name}.toml").write_text(RECIPE.format(name=name, content=content, more=more))
    return f"{name}.toml"


def names(report: dict[str, object]) -> list[str]:
    """Of the recipes whose records a report shows."""
    builds = report["builds"] if report["kind"] == "builds" else [report]
    assert isinstance(builds, list)
    return [build["recipe"]["name"] for build in builds]


def test_builds_at_once_into_one_output_lose_neither_record_nor_entry(imgasm: Imgasm) -> None:
    wanted = [f"build{number}" for number in range(4)]
    builds = [subprocess.Popen([sys.executable, "-m", "assembler", "build", recipe(imgasm, name), "--output", "out"],
                               cwd=imgasm.directory, env=imgasm.environment, stderr=subprocess.PIPE,
                               stdout=subprocess.DEVNULL, text=True) for name in wanted]  # fmt: skip
    told = [build.communicate()[1] for build in builds]
    assert [build.returncode for build in builds] == [0] * 4, told
    assert sorted(names(imgasm.json("size-report", "out"))) == wanted
    assert len(Layout.open(imgasm.directory / "out").index()) == 4
    table, markdown = imgasm("size-report", "out").stdout, imgasm("size-report", "out", "--markdown").stdout
    for name in wanted:
        assert f"Image {name}\n" in table and f"### {name}\n" in markdown
    imgasm("verify", "out")


def test_one_of_several_builds_is_chosen_by_its_image(imgasm: Imgasm) -> None:
    for name in ("one", "two"):
        imgasm("build", recipe(imgasm, name), "--output", "out")
    assert names(imgasm.json("size-report", "out", "--image", "one")) == ["one"]
    imgasm("size-report", "out", "--image", "one", "--html", "one.html")
    refused = imgasm("size-report", "out", "--html", "all.html", status=2).stderr
    assert "--html: a file shows one build, and the layout holds 2" in refused and "--image: one, two" in refused
    assert "It has: one, two." in imgasm("size-report", "out", "--image", "three", status=2).stderr
    assert imgasm.json("compare", "out", "out", "--image", "two")["paths"] == []
    assert "Choose one with --image: one, two." in imgasm("compare", "out", "out", status=2).stderr


def test_a_record_goes_with_the_last_of_its_images(imgasm: Imgasm) -> None:
    imgasm("build", recipe(imgasm, "one"), "--output", "out")
    imgasm("build", recipe(imgasm, "two"), "--output", "out")
    imgasm("build", recipe(imgasm, "one"), "--output", "out")  # the same image again
    assert names(imgasm.json("size-report", "out")) == ["two", "one"]
    imgasm("build", recipe(imgasm, "two", content="another"), "--output", "out")  # takes the name
    report = imgasm.json("size-report", "out")
    assert names(report) == ["one", "two"]
    listed = {str(entry.digest) for entry in Layout.open(imgasm.directory / "out").index()}
    assert {image["manifest"] for build in report["builds"] for image in build["images"]} == listed


def test_a_build_over_its_budget_stays_one_whatever_is_built_beside_it(imgasm: Imgasm) -> None:
    imgasm("build", recipe(imgasm, "large", more='max_size = "1B"'), "--output", "out", status=10)
    imgasm("build", recipe(imgasm, "small"), "--output", "out")
    for command in ("push", "size-report"):
        assert "large: the layer" in imgasm(command, "out", status=10).stderr
    imgasm("size-report", "out", "--image", "small")


def test_a_record_that_can_not_be_read_is_replaced_with_a_word(imgasm: Imgasm) -> None:
    imgasm("build", recipe(imgasm, "one"), "--output", "out")
    (imgasm.directory / "out/imgasm.json").write_text("{")
    told = imgasm("build", recipe(imgasm, "two"), "--output", "out").stderr
    assert "is not a record of a build that this imgasm can read" in told and "; it is replaced" in told
    assert json.loads((imgasm.directory / "out/imgasm.json").read_text())["recipe"]["name"] == "two"
