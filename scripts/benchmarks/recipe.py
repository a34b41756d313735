"""``scripts/bench recipe``: one recipe as ``docker build``, as ``buildah build`` and by imgasm.

The Dockerfile has the recipe's files and a RUN for each of its steps, on the base that imgasm makes for it. Told are
the time, the most that lay on the disk beyond what was there before, and what a machine that has nothing pulls.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import tomllib
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import tomlkit

from assembler.commands.open_recipe import open_recipe
from assembler.recipe.files import File
from benchmarks.measure import measure
from benchmarks.registry import registry, stored_tags
from benchmarks.table import aligned

if TYPE_CHECKING:
    from collections.abc import Iterator

    from assembler.recipe.recipe import Recipe

_FOUNDING: Final = Path(__file__).parents[2] / "recipes" / "debian-6.1-nvidia-535.toml"
_IMGASM: Final = str(Path(sys.executable).parent / "imgasm")
_BASE: Final = "localhost/bench-base:1"
_SECONDS_BETWEEN_LOOKS: Final = 2.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """``seconds`` of the build, ``disk`` and ``pull`` in bytes."""

    seconds: float
    disk: int
    pull: int


def main(arguments: list[str]) -> None:
    wanted = _arguments(arguments)
    with tempfile.TemporaryDirectory(prefix="imgasm-bench-recipe-", dir=wanted.work) as directory:
        found = _race(wanted.recipe, Path(directory))
    report = {"recipe": wanted.recipe.name, "load": os.getloadavg()[0],
              "contenders": {name: asdict(outcome) for name, outcome in found.items()}}
    if wanted.json:
        wanted.json.write_text(json.dumps(report, indent=2) + "\n")
    print(_text(report))


def _arguments(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/bench recipe", description=__doc__)
    parser.add_argument("recipe", nargs="?", type=Path, default=_FOUNDING, help="default: %(default)s")
    parser.add_argument("--work", type=Path, default=Path("/var/tmp"), metavar="DIR", help="on a disk with some GB")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    return parser.parse_args(arguments)


def _race(file: Path, place: Path) -> dict[str, Outcome]:
    """imgasm first, for it brings the base, which is not counted for anybody."""
    (place / "temporary").mkdir()
    docker_root = Path(_ask("docker", "info", "--format", "{{.DockerRootDir}}"))
    with registry(place / "registry") as (host, storage):
        runs = _Runs(place, host, storage)
        _bring_base(file, place)
        _write_context(open_recipe(file, {}), place / "context")
        found = {"imgasm build": runs.measured(
            [docker_root, place / "build"], [_IMGASM, "build", str(file), "--no-cache", "--quiet", "--output",
                                             str(place / "build")],
            lambda name: [_IMGASM, "push", str(place / "build"), name, "--image", _first_image(file)])}  # fmt: skip
        found["docker build"] = runs.measured(
            [docker_root], ["docker", "build", "--network", "host", "--tag", "bench-recipe", str(place / "context")],
            lambda name: ["sh", "-c", 'docker tag bench-recipe "$0" && docker push -q "$0"', name])  # fmt: skip
        found["buildah build"] = runs.measured(
            [place / "storage"], ["buildah", "--root", str(place / "storage"), "build", "--layers", "--isolation",
                                  "chroot", "--network", "host", "--tag", "bench-recipe", str(place / "context")],
            lambda name: ["buildah", "--root", str(place / "storage"), "push", "--tls-verify=false", "bench-recipe",
                          f"docker://{name}"])  # fmt: skip
    return found


@dataclass(frozen=True, slots=True)
class _Runs:
    place: Path
    host: str
    storage: Path

    def measured(self, grows: list[Path], command: list[str], push: Callable[[str], list[str]]) -> Outcome:
        """``grows`` are the directories where the command's bytes are."""
        with _watched(grows) as disk:
            run = measure(command, self.place / "temporary", {"DOCKER_BUILDKIT": "0", "BUILDAH_ISOLATION": "chroot"})
        name = f"{self.host}/{Path(command[0]).name.split('.')[0]}"
        measure(push(f"{name}:it"), self.place / "temporary", {})
        return Outcome(run.process_seconds, disk.peak, _bytes_of_image(self.storage, name.rpartition("/")[2]))


@dataclass(slots=True)
class _Disk:
    peak: int = 0
    ended: threading.Event = field(default_factory=threading.Event)


@contextmanager
def _watched(directories: list[Path]) -> Iterator[_Disk]:
    """The most that they hold beyond what they held at first, looked at every two seconds: a lower bound."""
    disk, before = _Disk(), _size(directories)

    def watch() -> None:
        while not disk.ended.wait(_SECONDS_BETWEEN_LOOKS):
            disk.peak = max(disk.peak, _size(directories) - before)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield disk
    finally:
        disk.ended.set()
        thread.join()
        disk.peak = max(disk.peak, _size(directories) - before)


def _size(directories: list[Path]) -> int:
    """Without what is mounted there: an overlay's files lie in its own directories already."""
    there = [str(path) for path in directories if path.exists()]
    told = subprocess.run(["du", "--summarize", "--one-file-system", "--block-size=1", *there], capture_output=True,
                          text=True, check=False).stdout if there else ""  # files that vanish meanwhile are no failure
    return sum(int(line.split()[0]) for line in told.splitlines())


def _bring_base(file: Path, place: Path) -> None:
    """imgasm's base into both engines, by a build whose only step does nothing."""
    tree = tomllib.loads(file.read_text())
    base = json.dumps(tree["base"])
    for name, value in tree.get("vars", {}).items():
        base = base.replace(f"{{{{ {name} }}}}", value["value"] if isinstance(value, dict) else value)
    table = json.loads(base)
    if "rootfs" in table:
        table["rootfs"] = str(file.parent.absolute() / table["rootfs"])
    small = place / "base.toml"
    small.write_text(tomlkit.dumps({"name": "base", "base": table, "image": [{"name": "base"}],
                                    "step": [{"name": "nothing", "run": "true"}]}))  # fmt: skip
    subprocess.run([_IMGASM, "build", small, "--quiet", "--output", place / "base"], check=True)
    subprocess.run(["docker", "tag", _ask("docker", "images", "--quiet", "localhost/imgasm/base").split()[0], _BASE],
                   check=True)  # fmt: skip
    subprocess.run(["docker", "save", "--output", place / "base.tar", _BASE], check=True)
    subprocess.run(["buildah", "--root", place / "storage", "pull", f"docker-archive:{place / 'base.tar'}"], check=True,
                   stdout=subprocess.DEVNULL)  # fmt: skip
    (place / "base.tar").unlink()


def _write_context(recipe: Recipe, context: Path) -> None:
    """Scratch directories are directories like others: a Dockerfile has no scratch."""
    context.mkdir()
    made = ["/bin/mkdir", "-p", *map(str, recipe.container.scratch)]
    lines = [f"FROM {_BASE}", *([f"RUN {json.dumps(made)}"] if recipe.container.scratch else [])]
    for number, file in enumerate(recipe.files):
        assert isinstance(file, File), "a recipe with files, not folders"
        copy = context / str(number)
        copy.write_bytes(file.content if isinstance(file.content, bytes) else file.content.read_bytes())
        copy.chmod(file.mode)
        lines.append(f"COPY {number} {file.path}")
    for step in recipe.steps:
        variables = [f"{key}={value}" for key, value in {**recipe.container.env, **step.env}.items()]
        lines += [f"WORKDIR {step.workdir or '/'}", f"RUN {json.dumps(['env', *variables, *step.argv])}"]
    (context / "Dockerfile").write_text("\n".join(lines) + "\n")


def _first_image(file: Path) -> str:
    return open_recipe(file, {}).images[0].name


def _bytes_of_image(storage: Path, repository: str) -> int:
    """Its config and layers, as they lie in the registry."""
    (digest,) = stored_tags(storage, repository).values()
    manifest = json.loads(_blob(storage, digest).read_bytes())
    return sum(blob["size"] for blob in (manifest["config"], *manifest["layers"]))


def _blob(storage: Path, digest: str) -> Path:
    hexadecimal = digest.partition(":")[2]
    return storage / "docker/registry/v2/blobs/sha256" / hexadecimal[:2] / hexadecimal / "data"


def _ask(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def _text(report: dict[str, Any]) -> str:
    rows: list[tuple[str, ...]] = [("", "minutes", "peak disk", "to pull")]
    for name, found in report["contenders"].items():
        rows.append((name, f"{found['seconds'] / 60:.1f}", f"{found['disk'] / 1e6:,.0f} MB",
                     f"{found['pull'] / 1e6:,.1f} MB"))  # fmt: skip
    return "\n".join([f"{report['recipe']}, load {report['load']:.1f}", *aligned(rows)])
