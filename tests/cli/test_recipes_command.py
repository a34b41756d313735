"""imgasm recipes: what comes with imgasm is listed, and copied with all that it needs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

RECIPES = Path(__file__).parents[2] / "recipes"


def imgasm(*arguments: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([Path(sys.executable).with_name("imgasm"), *arguments], cwd=cwd, capture_output=True,
                          text=True, check=False)  # fmt: skip


def test_every_recipe_is_listed_with_its_title(tmp_path: Path) -> None:
    done = imgasm("recipes", cwd=tmp_path)
    lines = dict(line.split(maxsplit=1) for line in done.stdout.splitlines())
    assert sorted(lines) == sorted(path.stem for path in RECIPES.glob("*.toml"))
    assert lines["hello"] == "The smallest recipe that shows the idea"


def test_a_copied_recipe_has_all_that_it_needs(tmp_path: Path) -> None:
    names = [each["name"] for each in json.loads(imgasm("recipes", "--json", cwd=tmp_path).stdout)]
    for name in names:
        copied = imgasm("recipes", name, "--to", name, cwd=tmp_path)
        assert copied.stdout == f"{name}/{name}.toml\n", copied.stderr
        planned = imgasm("plan", f"{name}/{name}.toml", cwd=tmp_path)
        assert planned.returncode == 0, planned.stderr
        assert (tmp_path / name / "recipe.schema.json").is_file()


def test_what_is_copied_is_what_is_in_the_repository(tmp_path: Path) -> None:
    names = [path.stem for path in RECIPES.glob("*.toml")]
    assert imgasm("recipes", *names, "modules", "--to", "all", cwd=tmp_path).returncode == 0

    def contents(folder: Path) -> dict[str, bytes]:
        return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}

    assert contents(tmp_path / "all") == contents(RECIPES)


def test_a_file_of_ones_own_is_never_replaced(tmp_path: Path) -> None:
    assert imgasm("recipes", "hello", cwd=tmp_path).returncode == 0
    assert imgasm("recipes", "hello.toml", cwd=tmp_path).returncode == 0  # the same again
    (tmp_path / "hello.toml").write_text("# mine\n")
    done = imgasm("recipes", "pytorch-gpu", "hello", cwd=tmp_path)
    assert done.returncode == 2
    assert "hello.toml exists, with other contents" in done.stderr
    assert (tmp_path / "hello.toml").read_text() == "# mine\n"
    assert not (tmp_path / "pytorch-gpu.toml").exists()


def test_the_loader_can_be_had_without_a_recipe(tmp_path: Path) -> None:
    assert imgasm("recipes", "modules", cwd=tmp_path).stdout == "modules/load\n"
    usage = subprocess.run(["modules/load", "--help"], cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert usage.startswith("usage: load ")
    assert "imgasm recipes modules" in imgasm("recipes", cwd=tmp_path).stderr


@pytest.mark.parametrize("name", ["helo", "../hello", "", "modules/load"])
def test_an_unknown_recipe_is_a_usage_error(tmp_path: Path, name: str) -> None:
    done = imgasm("recipes", name, cwd=tmp_path)
    assert done.returncode == 2
    assert "There is no recipe" in done.stderr and "hello" in done.stderr
