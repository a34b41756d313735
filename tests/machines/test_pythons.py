"""What needs no engine, on every Python that can be had here, and on the lowest versions of all dependencies.

The main suite itself runs on one Python with the newest ones. Debian brings 3.13 and 3.14; others are taken where
pyenv or the machine has them.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Final

import pytest

from tests.support.machine import ROOT, Machine

pytestmark = [pytest.mark.engine, pytest.mark.root, pytest.mark.timeout(1800)]

LONG: Final = ("fuzz or memory or pax_header_is_there or tarfile_reads or any_value_anywhere or "
               "a_target_that_cannot_be_written or an_image_without_layers")
"""They find nothing which depends on Python."""
TESTS: Final = (
    "-m", "not engine and not root", "-k", f"not podman and not ({LONG})", "-p", "no:cacheprovider",
    "tests/model", "tests/layer", "tests/image", "tests/recipe", "tests/source", "tests/cli",
    "tests/registry/test_trust.py",
)  # fmt: skip
THIRD_PARTIES: Final = "docker-registry apache2-utils busybox-static pigz zstd xz-utils skopeo umoci gcc libc6-dev"
DEBIANS: Final = ("3.13", "3.14")
PROJECT: Final = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
TOOLS: Final = [
    line for line in PROJECT["optional-dependencies"]["test"]
    if line.startswith(("cryptography", "hypothesis", "jsonschema", "pytest"))
]  # fmt: skip

UV: Final = Path(sys.executable).with_name("uv")

Run = subprocess.CompletedProcess[str]


def other_pythons() -> dict[str, str]:
    """By release: interpreters of this machine that are neither this one nor one of Debian's."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"), "versions")
    found = {}
    for release in (f"3.{minor}" for minor in range(11, 20)):
        asked = "import sys, ensurepip; print(sys.base_prefix, '%d.%d' % sys.version_info[:2])"
        for candidate in (*map(str, sorted(pyenv.glob(f"{release}.*/bin/python"))), shutil.which(f"python{release}")):
            said = subprocess.run([candidate or "false", "-c", asked], capture_output=True, text=True, check=False)
            if said.stdout.endswith(f" {release}\n") and not said.stdout.startswith(f"{sys.base_prefix} "):
                found[release] = candidate or ""
    return {release: python for release, python in found.items() if release not in DEBIANS}


OTHERS: Final = other_pythons()


def run(*command: str | Path, home: Path) -> Run:
    return subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, check=False, env={**os.environ, "HOME": str(home)})  # fmt: skip


def here(python: str, directory: Path, *options: str, lowest: bool = False) -> Run:
    """In a virtual environment of its own."""
    environment = directory / "venv"
    wanted = ["--editable", str(ROOT)]
    if lowest:
        wanted = ["--no-deps", *wanted, "--requirement", str(lowest_versions(directory))]
    install = [UV, "pip", "install", "--quiet", "--python", environment]
    for command in ([UV, "venv", "--quiet", "--python", python, environment], [*install, *wanted], [*install, *TOOLS]):
        done = run(*command, home=directory)
        if done.returncode:
            return done
    return run(environment / "bin/python", "-m", "pytest", *options, *TESTS, home=directory)


def lowest_versions(directory: Path) -> Path:
    """Of what pyproject.toml names; what these need in turn is the newest that fits."""
    resolved = directory / "lowest.txt"
    done = run(UV, "pip", "compile", "--quiet", "--resolution", "lowest-direct", "--python", sys.executable,
               "--output-file", resolved, "pyproject.toml", home=directory)  # fmt: skip
    assert done.returncode == 0, done.stdout
    return resolved


def there(python: str, machine: Machine) -> Run:
    return machine.run("sh", "-euc", f"""
        apt-get update -qq
        apt-get install -qq -y --no-install-recommends {python}-venv {python}-dev {THIRD_PARTIES} >/dev/null 2>&1
        {python} -m venv /opt/python
        /opt/python/bin/pip install --quiet --editable . "$@"
        exec /opt/python/bin/python -m pytest "$0" """ + " ".join(f"'{word}'" for word in TESTS),
        "--color=no", *TOOLS, timeout=1700)  # fmt: skip


@pytest.fixture(scope="module")
def runs(
    debian_13: Machine, next_debian: Machine, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Future[Run]]]:
    """All of them, two at a time. Warnings of libraries that are old on purpose are no errors."""
    work: dict[str, Callable[[], Run]] = {
        "lowest": partial(here, sys.executable, tmp_path_factory.mktemp("lowest"), "-Wdefault", lowest=True),
        "3.13": partial(there, "python3", debian_13),
        "3.14": partial(there, "python3.14", next_debian),
        **{release: partial(here, python, tmp_path_factory.mktemp("python")) for release, python in OTHERS.items()},
    }
    with ThreadPoolExecutor(2) as pool:
        yield {name: pool.submit(each) for name, each in work.items()}


@pytest.mark.parametrize("release", sorted({*OTHERS, *DEBIANS}))
def test_what_needs_no_engine_runs_on_every_python(release: str, runs: dict[str, Future[Run]]) -> None:
    done = runs[release].result()
    assert done.returncode == 0, done.stdout[-10_000:]
    assert " passed" in done.stdout


def test_what_needs_no_engine_runs_with_the_lowest_versions(runs: dict[str, Future[Run]]) -> None:
    done = runs["lowest"].result()
    assert done.returncode == 0, done.stdout[-10_000:]
    assert " passed" in done.stdout
