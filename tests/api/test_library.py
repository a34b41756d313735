"""imgasm as a library: what docs/library.md and the docstrings show really runs, and is typed."""

from __future__ import annotations

import doctest
import io
import json
import os
import pickle
import re
import subprocess
import sys
import urllib.request
from contextlib import chdir
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import assembler
from tests.cli.running import surroundings
from tests.support.debian_registry import debian_registry
from tests.support.thin import busybox

if TYPE_CHECKING:
    from collections.abc import Iterator

    from assembler.engine.client import Engine
    from tests.support.debian_registry import DebianRegistry

ROOT = Path(__file__).parent.parent.parent
PAGE = (ROOT / "docs" / "library.md").read_text(encoding="utf-8")
PROGRAMS = re.findall(r"^```python\n(.*?)^```$", PAGE, re.M | re.S)
SHORTEST, WORKERS, READING, FAILING = PROGRAMS
RECIPE = re.findall(r"^```toml\n(.*?)^```$", PAGE, re.M | re.S)[0]
STEP = '\n[container]\nnetwork = "none"\n\n[[step]]\nname = "greet"\nrun = "echo from a step; echo more >> /etc/motd"\n'


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DebianRegistry]:
    with debian_registry(tmp_path_factory.mktemp("registry")) as registry:
        yield registry


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """A directory with the recipe of the page and its base."""
    (tmp_path / "base.tar").write_bytes(busybox())
    (tmp_path / "motd.toml").write_text(RECIPE, encoding="utf-8")
    return tmp_path


def run(program: str, here: Path, registry: DebianRegistry, **environment: str) -> str:
    """What the program prints on standard output, having printed nothing on standard error."""
    file = here / "program.py"
    file.write_text(program.replace("registry.example.com", registry.host), encoding="utf-8")
    done = subprocess.run([sys.executable, file.name], cwd=here, env=surroundings(here, **environment),
                          capture_output=True, text=True, check=False)  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def pushed(registry: DebianRegistry, tag: str) -> dict[str, list[dict[str, object]]]:
    """The manifest that the registry gives, without imgasm."""
    request = urllib.request.Request(f"http://{registry.host}/v2/team/motd/manifests/{tag}",
                                     headers={"Accept": "application/vnd.oci.image.manifest.v1+json"})  # fmt: skip
    with urllib.request.urlopen(request) as reply:
        return json.load(reply)  # type: ignore[no-any-return]


def without_engines(here: Path) -> dict[str, str]:
    """A PATH on which no engine is."""
    (here / "bin").mkdir(exist_ok=True)
    return {"PATH": str(here / "bin"), "DOCKER_HOST": "unix:///nowhere"}


def test_the_shortest_program_has_less_than_ten_lines_and_needs_no_engine(here: Path, registry: DebianRegistry) -> None:
    assert len(SHORTEST.splitlines()) < 10
    assert run(SHORTEST, here, registry, **without_engines(here)) == ""
    manifest = pushed(registry, "1")
    assert len(manifest["layers"]) == 1
    assert json.loads((here / "build/motd/index.json").read_bytes())["manifests"][0]["digest"]


@pytest.mark.engine
def test_the_shortest_program_runs_steps_in_an_engine_and_prints_nothing(
    engine: Engine, here: Path, registry: DebianRegistry
) -> None:
    (here / "motd.toml").write_text(RECIPE + STEP, encoding="utf-8")
    own = {name: text for name, text in os.environ.items()
           if name in ("DOCKER_HOST", "CONTAINERS_CONF", "CONTAINERS_STORAGE_CONF", "IMGASM_PODMAN_OPTIONS")}
    assert run(SHORTEST, here, registry, IMGASM_ENGINE=engine.name, **own) == ""
    record = json.loads((here / "build/motd/imgasm.json").read_bytes())
    assert [step["name"] for step in record["steps"]] == ["greet"]
    assert pushed(registry, "1")["layers"][0]["digest"] == record["images"][0]["layer"]["digest"]


def test_workers_make_their_worlds_from_pickled_settings(here: Path, registry: DebianRegistry) -> None:
    lines = dict(line.split() for line in run(WORKERS, here, registry, **without_engines(here)).splitlines())
    assert lines.keys() == {"monday", "friday"} and len(set(lines.values())) == 2
    for day in lines:
        assert len(pushed(registry, day)["layers"]) == 1
    assert (here / "cache" / "bases").is_dir()
    assert not (here / ".cache").exists()


def test_an_image_is_read_from_a_registry_and_put_into_an_archive(here: Path, registry: DebianRegistry) -> None:
    run(SHORTEST, here, registry)
    printed = run(READING, here, registry)
    layer = pushed(registry, "1")["layers"][0]
    assert printed.splitlines()[0].startswith(f"{layer['digest']} {layer['size']} bytes")
    assert printed.splitlines()[-1] == "/etc/motd 7 bytes"


def test_an_error_has_the_exit_code_of_the_command(here: Path, registry: DebianRegistry) -> None:
    assert run(FAILING, here, registry).splitlines() == [
        "3 the recipe missing.toml can't be read: No such file or directory", "0 warnings",
    ]  # fmt: skip


def test_all_that_is_promised_is_there_and_nothing_else() -> None:
    assert sorted(assembler.__all__) == assembler.__all__
    for name in assembler.__all__:
        assert getattr(assembler, name) is not None
    assert set(assembler.__all__) <= set(dir(assembler))
    with pytest.raises(AttributeError, match="no attribute 'biuld'"):
        _ = assembler.biuld  # type: ignore[attr-defined]


def test_the_error_tree_is_all_there() -> None:
    """Every class in errors.py is offered, and has an exit code of its own beside the root's."""
    from assembler import errors

    classes = [each for each in vars(errors).values() if isinstance(each, type) and issubclass(each, BaseException)]
    assert {each.__name__ for each in classes} <= set(assembler.__all__)
    assert all(issubclass(each, assembler.ImgasmError) for each in classes)
    assert len({each.exit_code for each in classes}) == len(classes)


def test_what_the_system_refuses_is_an_error_of_imgasm(here: Path) -> None:
    world = assembler.World.from_environment({"HOME": str(here)})
    (here / "file").write_bytes(b"")
    with chdir(here), pytest.raises(assembler.FileError, match="Not a directory") as refused:
        assembler.build(assembler.load_recipe("motd.toml"), "file/build", world)
    assert refused.value.hint
    with (
        chdir(here),
        pytest.raises(assembler.UsageError, match=r"There is nothing at \./build/motd"),
        assembler.open_image(Path("build/motd"), world),
    ):
        pass


def test_an_error_comes_out_of_a_worker_as_it_was_raised(here: Path, registry: DebianRegistry) -> None:
    """An exception that can't be unpickled breaks the whole pool of workers, and hides what was wrong."""
    world = assembler.World.from_environment({"HOME": str(here)})
    with pytest.raises(assembler.RegistryError) as refused, assembler.open_image(f"{registry.host}/none:1", world):
        pass
    refused.value.add_note("a note")
    plain = assembler.StepFailed("the step failed", hint="Mend it.", detail="its last line")
    for error in (refused.value, plain):
        same = pickle.loads(pickle.dumps(error))
        assert type(same) is type(error)
        assert (str(same), same.message, same.hint, same.detail) == (
            str(error), error.message, error.hint, error.detail)  # fmt: skip
        assert same.exit_code == error.exit_code
        assert getattr(same, "__notes__", None) == getattr(error, "__notes__", None)


def test_an_error_of_the_caller_stays_what_it_is(here: Path) -> None:
    world = assembler.World.from_environment({"HOME": str(here)})
    with chdir(here):
        assembler.build(assembler.load_recipe("motd.toml"), "build/motd", world)
        with pytest.raises(FileNotFoundError), assembler.open_image("build/motd", world):
            Path("not-there").read_bytes()


def test_a_broken_budget_is_raised_when_the_images_are_there(here: Path) -> None:
    (here / "motd.toml").write_text(RECIPE + 'max_size = "1B"\n', encoding="utf-8")
    world = assembler.World.from_environment({"HOME": str(here)})
    with chdir(here):
        with pytest.raises(assembler.BudgetExceeded):
            assembler.build(assembler.load_recipe("motd.toml"), "build/motd", world)
        report = assembler.size_report("build/motd", world)
        assert isinstance(report, assembler.Builds)
        assert report.builds[0].broken


def test_options_that_contradict_the_recipe_are_refused(here: Path) -> None:
    world = assembler.World.from_environment({"HOME": str(here)})
    with chdir(here):
        recipe = assembler.load_recipe("motd.toml")
        for options in (assembler.BuildOptions(keep_container=True), assembler.BuildOptions(created="yesterday")):
            with pytest.raises(assembler.UsageError):
                assembler.build(recipe, "build/motd", world, options)
    assert not (here / "build").exists()


def test_no_secret_is_in_an_error_or_a_warning(here: Path) -> None:
    """It is masked below the command line, so that a program's log is as safe."""
    text = RECIPE.replace("[vars]", "[vars]\ntoken = { secret = true }").replace(
        'rootfs = "base.tar"', 'bootstrap = { suite = "bookworm", mirror = "http://127.0.0.1:9/{{ token }}" }')
    (here / "motd.toml").write_text(text, encoding="utf-8")
    progress = assembler.SilentProgress()
    world = assembler.World.from_environment({**os.environ, "HOME": str(here), "IMGASM_CACHE": "cache"}, progress)
    with chdir(here), pytest.raises(assembler.ImgasmError) as failed:
        assembler.build(assembler.load_recipe("motd.toml", {"token": "hunter2"}), "build/motd", world)
    told = [failed.value.message, str(failed.value), failed.value.detail or "", *progress.warnings]
    assert "127.0.0.1:9/" in "".join(told)
    assert "hunter2" not in "".join(told)


@pytest.mark.parametrize("name", ["build", "load_recipe", "open_image", "put_image", "size_report"])
def test_the_example_of_each_docstring_runs(name: str, here: Path, registry: DebianRegistry) -> None:
    world = assembler.World.from_environment({"HOME": str(here)})
    known = {"world": world, **{each: getattr(assembler, each) for each in assembler.__all__}}
    with chdir(here):
        assembler.build(assembler.load_recipe("motd.toml"), "build/motd", world)
        [found] = doctest.DocTestFinder(recurse=False).find(getattr(assembler, name), name, globs=known)
        assert found.examples
        for example in found.examples:
            example.source = example.source.replace("registry.example.com", registry.host)
        told = io.StringIO()
        result = doctest.DocTestRunner().run(found, out=told.write)
    assert result.failed == 0, told.getvalue()


def test_the_programs_are_typed(tmp_path: Path) -> None:
    assert mypy(*PROGRAMS, directory=tmp_path) == ""


def test_what_a_program_gets_wrong_is_a_type_error(tmp_path: Path) -> None:
    """The names are known to mypy, although they are imported when they are used: none of them is Any."""
    wrong = "import assembler\n" + "".join(
        f"reveal_type(assembler.{name})\n" for name in assembler.__all__ if name != "__version__"
    )
    told = mypy(wrong + "assembler.load_recipe(1)\n", directory=tmp_path)
    assert told.count("Revealed type is") == len(assembler.__all__) - 1
    assert "Any\"" not in told
    assert '"load_recipe" has incompatible type "int"' in told


def mypy(*programs: str, directory: Path) -> str:
    """What mypy --strict says about each of them."""
    files = [directory / f"program{number}.py" for number in range(len(programs))]
    for file, program in zip(files, programs, strict=True):
        file.write_text(program, encoding="utf-8")
    done = subprocess.run([sys.executable, "-m", "mypy", "--strict", "--no-error-summary", *files], cwd=ROOT,
                          capture_output=True, text=True, check=False)  # fmt: skip
    return done.stdout + done.stderr
