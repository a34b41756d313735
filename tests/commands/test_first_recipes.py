"""imgasm init: what one begins with is planned as it is, and built."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from assembler.cli.recipe_commands import JobKind
from assembler.image.layout import Layout
from tests.cli.running import imgasm
from tests.support.debian_registry import debian_registry
from tests.support.thin import Imgasm, busybox, layer_names, write_image

FOLDER = Path(__file__).parents[2] / "assembler" / "commands" / "first_recipes"


def test_there_is_one_for_each_kind() -> None:
    assert {path.stem for path in FOLDER.glob("*.toml")} == set(JobKind)


@pytest.mark.parametrize("kind", JobKind)
def test_each_is_commented_and_planned(kind: str, tmp_path: Path) -> None:
    written = Imgasm(tmp_path)("init", kind)
    assert written.stdout == f"{kind}.toml\n"
    planned = Imgasm(tmp_path)("plan", f"{kind}.toml").stdout
    assert planned.startswith(f"recipe {kind}\n")
    lines = (tmp_path / f"{kind}.toml").read_text().splitlines()
    assert sum("#" in line for line in lines) > 15
    assert max(map(len, lines)) <= 120
    assert (tmp_path / "recipe.schema.json").is_file()


def test_without_a_kind_it_is_a_plain_one_and_nothing_is_replaced(tmp_path: Path) -> None:
    assert imgasm(tmp_path, "init", "--to", tmp_path / "new").stdout == f"{tmp_path}/new/plain.toml\n"
    (tmp_path / "new" / "plain.toml").write_text("# mine\n")
    refused = imgasm(tmp_path, "init", "--to", tmp_path / "new")
    assert refused.returncode == 2
    assert "plain.toml exists, with other contents" in refused.stderr
    assert (tmp_path / "new" / "plain.toml").read_text() == "# mine\n"


def test_an_unknown_kind_is_told_the_others(tmp_path: Path) -> None:
    refused = imgasm(tmp_path, "init", "modul")
    assert refused.returncode == 2
    assert all(re.search(rf"\b{kind}\b", refused.stderr) for kind in JobKind)


def test_the_thin_one_is_built_and_pushed(tmp_path: Path) -> None:
    with debian_registry(tmp_path / "registry") as registry:
        run, base = Imgasm(tmp_path), f"{registry.host}/base:1"
        write_image(Layout.create(tmp_path / "base"), base, busybox())
        run("push", "base", base)
        run("init", "thin")
        run("build", "thin.toml", "--set", f"registry={registry.host}", "--set", f"base={base}")
        pushed = run.json("push")
    assert pushed[0]["reference"] == f"{registry.host}/thin:latest"
    assert layer_names(tmp_path / "build/thin", pushed[0]["digest"]) == [
        "opt/", "opt/app/", "opt/app/main.py",
    ]  # fmt: skip
