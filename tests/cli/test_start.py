"""What is imported before anything is done: by the names of modules, which no load on the machine changes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.running import surroundings

_REPORT = """
import atexit, json, sys
sys.argv[0] = "imgasm"
atexit.register(lambda: print(json.dumps(sorted(sys.modules)), file=sys.stderr))
from assembler.__main__ import main
main()
"""

HEAVY = (
    "python_on_whales", "httpx", "h11", "ssl", "rich", "tqdm", "publicsuffixlist", "zlib_ng",
    "assembler.engine", "assembler.registry", "assembler.report", "assembler.image", "assembler.layer",
)  # fmt: skip
"""Of these and of what is in them, a user who asks for help needs nothing."""
WAYS = {"assembler.layer.many_files", "assembler.layer._many_files"}
"""They tell which one is taken."""

RECIPES = Path(__file__).parent.parent.parent / "recipes"


def imported(home: Path, *arguments: str, prints: str = "", **environment: str) -> set[str]:
    """The modules that are there when the command line has done its work."""
    done = subprocess.run([sys.executable, "-c", _REPORT, *arguments], capture_output=True, text=True,
                          env=surroundings(home, **environment), check=False)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert prints in done.stdout
    return set(json.loads(done.stderr.splitlines()[-1]))


def among(modules: set[str], packages: tuple[str, ...]) -> set[str]:
    return {name for name in modules if any(name == each or name.startswith(f"{each}.") for each in packages)}


@pytest.mark.parametrize("arguments", [["--version"], ["--help"], ["build", "--help"], ["push", "-h"]], ids=" ".join)
def test_help_and_version_import_no_engine_no_network_and_no_report(tmp_path: Path, arguments: list[str]) -> None:
    modules = imported(tmp_path, *arguments)
    heavy = among(modules, (*HEAVY, "assembler.recipe", "assembler.changeset", "assembler.source"))
    assert heavy <= ({"assembler.layer", *WAYS} if arguments == ["--version"] else set())


def test_the_first_help_imports_no_validation_either(tmp_path: Path) -> None:
    assert among(imported(tmp_path, "--help"), ("pydantic", "assembler.commands", "zstandard", "deflate")) == set()


def test_completion_imports_no_more_than_help(tmp_path: Path) -> None:
    modules = imported(tmp_path, prints="push\n", _IMGASM_COMPLETE="complete_bash", COMP_WORDS="imgasm pu",
                       COMP_CWORD="1")
    assert among(modules, (*HEAVY, "assembler.recipe", "assembler.commands")) == set()


def test_plan_imports_the_recipe_and_nothing_that_builds(tmp_path: Path) -> None:
    modules = imported(tmp_path, "plan", str(RECIPES / "hello.toml"))
    assert "assembler.recipe.load" in modules
    codecs = among(modules, ("zlib_ng", "assembler.layer"))  # their names and levels are part of what a recipe can say
    assert among(modules, HEAVY) == codecs
    assert not among(codecs, ("assembler.layer.write_layer", "assembler.layer.read_tar", "assembler.layer.compress"))


def test_importing_the_package_imports_nothing_of_it(tmp_path: Path) -> None:
    program = "import assembler, json, sys; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=surroundings(tmp_path),
                          check=True)  # fmt: skip
    modules = set(json.loads(done.stdout))
    assert among(modules, ("assembler",)) == {"assembler", "assembler.version"}
    assert among(modules, (*HEAVY, "pydantic", "typer", "zstandard", "deflate")) == set()


def test_a_program_that_reads_a_layout_imports_no_engine_and_no_command_line(tmp_path: Path) -> None:
    program = """
import json, sys
from assembler import ImgasmError, World, open_image
try:
    with open_image("./not-there", World.from_environment({"HOME": "."})):
        pass
except ImgasmError:
    print(json.dumps(sorted(sys.modules)))"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=surroundings(tmp_path),
                          check=True)  # fmt: skip
    modules = set(json.loads(done.stdout))
    unwanted = ("python_on_whales", "typer", "tqdm", "assembler.cli", "assembler.changeset", "assembler.report")
    assert among(modules, unwanted) == set()
