"""Every recipe that comes with imgasm loads, plans without a warning, fits the schema, and has clean scripts."""

from __future__ import annotations

import json
import subprocess
import tomllib
from pathlib import Path

import jsonschema
import pytest

from assembler.commands.open_recipe import open_recipe
from assembler.commands.plan import plan
from assembler.recipe.files import File
from assembler.recipe.lint import stand_ins
from assembler.recipe.recipe import Recipe
from assembler.recipe.schema import schema

FOLDER = Path(__file__).parents[2] / "recipes"
RECIPES = sorted(FOLDER.glob("*.toml"))


@pytest.fixture(params=RECIPES, ids=lambda path: path.stem)
def path(request: pytest.FixtureRequest) -> Path:
    return Path(request.param)


def scripts(recipe: Recipe) -> dict[str, str]:
    """Each script, beginning with the line that tells shellcheck what runs it."""
    shebang = f"#!{recipe.container.shell[0]} -e\n"
    found = {step.name: shebang + step.script for step in recipe.steps if step.script is not None}
    files = {file: content(file) for file in recipe.files if isinstance(file, File)}
    return found | {str(file.path): text.decode() for file, text in files.items() if text.startswith(b"#!")}


def content(file: File) -> bytes:
    return file.content if isinstance(file.content, bytes) else file.content.read_bytes()


def shellcheck(script: str) -> str:
    # busybox' shell is dash's cousin, and older versions of shellcheck do not know it by name.
    dialect = [] if script.startswith("#!/bin/") else ["--shell=dash"]
    done = subprocess.run(["shellcheck", *dialect, "-"], input=script, text=True, capture_output=True, check=False)
    return done.stdout + done.stderr


def test_the_recipes_that_imgasm_promises_are_here() -> None:
    promised = {"coreos-4.3.6", "cuda", "debian-6.1-nvidia-535", "dkms", "hello", "kmm", "signed"}
    assert promised <= {path.stem for path in RECIPES}


def test_it_plans_without_a_warning_but_for_what_the_user_must_replace(path: Path) -> None:
    recipe = open_recipe(path, {})
    planned = plan(recipe)

    assert len(planned.warnings) == len(stand_ins(recipe)) == (2 if path.stem == "coreos-4.3.6" else 0)
    assert f"recipe {planned.recipe.name}" in planned.lines()
    json.dumps(planned.to_json())


def test_it_fits_the_schema_that_it_names(path: Path) -> None:
    assert path.read_text().startswith("#:schema recipe.schema.json\n")
    jsonschema.validate(tomllib.loads(path.read_text()), schema())


def test_its_digest_does_not_tell_when_it_was_built(path: Path) -> None:
    assert open_recipe(path, {}).source_date_epoch == 0


def test_its_scripts_are_clean(path: Path) -> None:
    found = {name: shellcheck(script) for name, script in scripts(open_recipe(path, {})).items()}

    assert found == dict.fromkeys(found, "")


def test_shellcheck_would_complain() -> None:
    assert "SC2086" in shellcheck("#!/bin/sh -e\nrm $1\n")


def test_coreos_can_be_rehearsed_with_anything_else() -> None:
    recipe = open_recipe(FOLDER / "coreos-4.3.6.toml", {
        "base": "localhost:5000/debian:bookworm",
        "packages": "make",
        "archive": "",
        "gcc": "12",
        "kernel": "6.1.192",
        "release": "6.1.192-rehearsal",
        "config": "coreos-4.3.6/config",
        "symvers": "coreos-4.3.6/Module.symvers",
        "kernel_url": "http://127.0.0.1/linux.tar",
        "driver": "535",
        "installer_url": "http://127.0.0.1/nvidia.run",
        "registry": "localhost:5000",
        "budget": "60MB",
    })  # fmt: skip

    said = json.dumps(plan(recipe).to_json() | {"file": ""})
    originals = ("ubuntu", "4.3.6\"", "352.39", "kernel.org", "download.nvidia", "gcc-4.9", "127.0.0.1:5000")
    assert [original for original in originals if original in said] == []


def test_the_loaders_scripts_are_clean() -> None:
    scripts = sorted(path for path in (FOLDER / "modules").iterdir())
    found = {path.name: shellcheck(path.read_text()) for path in scripts}

    assert "load" in found
    assert found == dict.fromkeys(found, "")


@pytest.mark.parametrize(("exported", "complaint"), [("printk", "no_such_function\n"), ("no_such_function", "")])
def test_coreos_refuses_what_calls_a_function_that_its_kernel_does_not_have(
    exported: str, complaint: str, tmp_path: Path
) -> None:
    """Linux 4.3 compiles it with a warning. The objects are no modules, but have symbols as these do."""
    (step,) = (step for step in open_recipe(FOLDER / "coreos-4.3.6.toml", {}).steps if step.name == "symbols")
    (tmp_path / "Module.symvers").write_text(f"0x12345678\t{exported}\tvmlinux\tEXPORT_SYMBOL\n")
    code = {"nvidia": "int no_such_function(void), __ksymtab_of_ours; int ours(void) { return no_such_function(); }",
            "nvidia-uvm": "int of_ours(void); int start(void) { return of_ours(); }"}
    for name, text in code.items():
        compiler = ["gcc", "-x", "c", "-c", "-o", f"{tmp_path / name}.ko", "-"]
        subprocess.run(compiler, input=text, text=True, check=True)
    assert step.script is not None
    script = step.script.replace("/tmp/", "").replace("/root/", "")
    done = subprocess.run(["sh", "-e", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False)

    assert done.returncode == bool(complaint)
    assert done.stderr.endswith(complaint)


def test_cuda_makes_its_modules_as_the_other_recipe_does() -> None:
    """What the tests compile with that one is true of this one."""
    recipes = [tomllib.loads((FOLDER / f"{name}.toml").read_text()) for name in ("cuda", "debian-6.1-nvidia-535")]
    cuda, modules = ({step["name"]: step for step in recipe["step"]} for recipe in recipes)
    until_unpacked = cuda["driver source"]["run"].removesuffix('echo "$version" > version\n')

    assert cuda["compile"] == modules["compile"]
    assert modules["driver source"]["run"].startswith(until_unpacked)


@pytest.mark.parametrize("name", [
    "coreos-4.3.6", "cuda", "debian-6.1-nvidia-535", "dkms", "kmm", "pytorch-gpu", "signed", "tensorflow-gpu",
])  # fmt: skip
def test_a_kernel_release_with_a_plus_is_a_tag_too(name: str) -> None:
    """All of Debian's 6.12 kernels have one, and Google's COS."""
    variable = "release" if name.startswith("coreos") else "kernel"
    recipe = open_recipe(FOLDER / f"{name}.toml", {variable: "6.12.48+deb13-amd64"})

    references = [image.reference or "" for image in recipe.images]
    assert all("6.12.48_deb13-amd64" in reference for reference in references)
    assert all("6.12.48+deb13-amd64" in image.config.labels["kernel.release"] for image in recipe.images)
