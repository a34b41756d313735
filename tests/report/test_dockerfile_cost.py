"""What a Dockerfile would weigh: each face says what it compares with, and a real builder agrees."""

from __future__ import annotations

import io
import json
import subprocess
import tarfile
from typing import TYPE_CHECKING

import pytest

from assembler.report.build_text import render
from assembler.report.ci_summary import markdown
from assembler.report.html import page
from assembler.report.picture import svg
from tests.report.records import MB, record
from tests.support import engines
from tests.support.thin import Imgasm, busybox

if TYPE_CHECKING:
    from pathlib import Path


def test_29_a_dockerfile_of_two_stages_carries_the_layer_s_files() -> None:
    cost = record().dockerfile
    assert cost is not None
    (stage,) = cost.two_stages
    assert (stage.image, stage.bytes, stage.compressed) == ("nvidia-modules", 151 * MB + 1500, 46_300_000)
    assert stage.removals == 1, "a whiteout, which COPY can't say"
    assert cost.bytes > 10 * stage.bytes


@pytest.mark.parametrize("face", ["text", "markdown", "svg", "json"])
def test_29_each_face_says_what_it_compares_with(face: str) -> None:
    build = record()
    text = {
        "text": lambda: " ".join(render(build).split()),
        "markdown": lambda: markdown(build, []),
        "svg": lambda: svg(build, build.images[0]),
        "json": build.model_dump_json,
    }[face]()
    if face == "json":
        told = json.loads(text)["dockerfile"]
        assert told["two_stages"][0] == {
            "image": "nvidia-modules", "bytes": 151 * MB + 1500, "compressed": 46_300_000, "removals": 1,
        }  # fmt: skip
        return
    assert "one stage, one RUN for each step: 1.59 GB" in text
    assert "two stages, COPY --from of the same files: no more than here" in text
    assert "1.59 GB stay in the builder's cache" in text.replace("&#x27;", "'")


def test_29_the_page_s_comparison_names_both_ways() -> None:
    build = record()
    program = page(build)
    assert "One stage, one RUN for each step" in program
    assert "Two stages, COPY --from of the same files: no more than here" in program
    assert "less than as a Dockerfile\"" not in program


RECIPE = """
name = "sample"
[base]
rootfs = "base.tar"
[container]
network = "none"
[[step]]
name = "build"
run = "head -c 3000000 /dev/zero > /opt/object"
[[step]]
name = "install"
run = "mkdir /opt/app; head -c 700000 /opt/object > /opt/app/program; ln /opt/app/program /opt/app/again"
[[image]]
name = "sample"
onto = "scratch"
keep = ["/opt/app/**"]
"""

ONE_STAGE = """
FROM localhost/base
RUN head -c 3000000 /dev/zero > /opt/object
RUN mkdir /opt/app; head -c 700000 /opt/object > /opt/app/program; ln /opt/app/program /opt/app/again
"""


@pytest.mark.engine
def test_29_a_real_builder_s_layers_weigh_what_is_told(tmp_path: Path) -> None:
    imgasm = Imgasm(tmp_path)
    (tmp_path / "base.tar").write_bytes(busybox())
    (tmp_path / "sample.toml").write_text(RECIPE)
    (tmp_path / "podman").mkdir()
    with engines.podman(tmp_path / "podman"):
        cost = imgasm.json("build", "sample.toml", "--engine", "podman")["dockerfile"]
        run("podman", "import", tmp_path / "base.tar", "localhost/base")
        one = contents(tmp_path, "one", ONE_STAGE)
        two = contents(tmp_path, "two", ONE_STAGE.replace("base\n", "base AS build\n", 1)
                       + "FROM scratch\nCOPY --from=build /opt/app /opt/app\n")
    assert one[1:] == cost["steps"] == [3_000_000, 700_000]
    assert two == [stage["bytes"] for stage in cost["two_stages"]] == [700_000]


def contents(directory: Path, name: str, dockerfile: str) -> list[int]:
    """Bytes of the regular files in each layer of what podman builds."""
    (directory / name).mkdir()
    (directory / name / "Dockerfile").write_text(dockerfile)
    run("podman", "build", "--layers", "--network", "none", "--tag", f"localhost/{name}", directory / name)
    archive = directory / f"{name}.tar"
    run("podman", "save", "--output", archive, f"localhost/{name}")
    with tarfile.open(archive) as tar:
        def read(member: str) -> bytes:
            file = tar.extractfile(member)
            assert file is not None
            return file.read()

        layers = [read(layer) for layer in json.loads(read("manifest.json"))[0]["Layers"]]
    return [sum(one.size for one in tarfile.open(fileobj=io.BytesIO(layer)) if one.isreg()) for layer in layers]


def run(*command: str | Path) -> None:
    subprocess.run(command, check=True, capture_output=True)
