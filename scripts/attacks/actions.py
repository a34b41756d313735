"""What is killed: commands of imgasm's, each with its surroundings, and what they make."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from benchmarks.registry import corrupt_blobs, stored_blobs, stored_tags

from attacks.scene import Done, torn

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from attacks.scene import Scene

ACTIONS: Final = ("build-docker", "build-podman", "copy", "push", "load", "resume-docker", "resume-podman")
_STEP: Final = "rm -rf /opt/old"


@dataclass(frozen=True, slots=True)
class Action:
    """``command`` is what is killed in ``scene``. ``prepare`` makes its surroundings fresh, ``check`` tells what is
    torn there, and ``made`` what is there in the end: the same each time.

    ``is_once``: when it has ended well there is nothing to do it again with, and it says so.
    """

    name: str
    scene: Scene
    command: list[str]
    prepare: Callable[[], object]
    check: Callable[[], list[str]]
    made: Callable[[], object]
    is_once: bool = False

    @property
    def engine(self) -> str:
        """Where it has containers or images; empty for those that need none."""
        return "docker" if self.name == "load" else self.name.partition("-")[2]

    def run(self, *before: str) -> Done:
        """The command; ``before`` is what runs it."""
        return self.scene.run([*before, *self.scene.imgasm(*self.command)])


def action(scene: Scene, name: str, host: str, storage: Path) -> Action:
    """One of :data:`ACTIONS`; ``host`` is the registry whose ``storage`` that is."""
    verb, _, engine = name.partition("-")
    output = scene.place / "out"
    makes_layout = (lambda: scene.remove("out"), lambda: torn(output) + _torn_bases(scene), lambda: _manifests(output))
    if verb == "build":
        command = ["build", "recipe.toml", "--engine", engine, "--output", "out", "--no-cache", "-q"]
        return Action(name, scene, command, *makes_layout)
    if verb == "resume":
        _, check, made = makes_layout
        return Action(name, scene, ["resume", "-q"], lambda: _fail(scene, engine), check, made, is_once=True)
    _must(scene.run(scene.imgasm("build", "recipe.toml", "--engine", "docker", "--output", "image")))
    if verb == "copy":
        return Action(name, scene, ["copy", "oci:image:chaos", "oci:out:copied", "-q"], *makes_layout)
    if verb == "push":
        command = ["push", "image", f"{host}/chaos:1", "--image", "chaos", "-q"]
        return Action(name, scene, command, lambda: shutil.rmtree(storage, ignore_errors=True),
                      lambda: _torn_registry(storage), lambda: _tags(storage))
    command = ["load", "image", "--image", "chaos", "--engine", "docker", "-q"]
    return Action(name, scene, command, lambda: _docker("image", "rm", "--force", "chaos"), list,
                  lambda: _docker("image", "ls", "--no-trunc", "--quiet", "chaos"))


def _fail(scene: Scene, engine: str) -> None:
    """A build whose last step failed, and a recipe that was mended since."""
    recipe = scene.place / "recipe.toml"
    whole = recipe.read_text()
    _must(scene.run(scene.imgasm("clean", "--kept", "--engine", engine)))
    scene.remove("out")
    recipe.write_text(whole.replace(_STEP, "exit 3"))
    command = ["build", "recipe.toml", "--engine", engine, "--output", "out", "--on-failure", "keep", "-q"]
    _must(scene.run(scene.imgasm(*command)), 6)
    recipe.write_text(whole)


def _must(done: Done, status: int = 0) -> None:
    if done.status != status:
        sys.exit(f"what goes before the first kill ended with {done.status}: {done.told}")


def _manifests(layout: Path) -> list[str]:
    """Builds of one recipe and one SOURCE_DATE_EPOCH are the same to the last byte."""
    index = layout / "index.json"
    return sorted(entry["digest"] for entry in json.loads(index.read_bytes())["manifests"]) if index.exists() else []


def _docker(*words: str) -> str:
    return subprocess.run(["docker", *words], capture_output=True, text=True, check=False).stdout


def _torn_bases(scene: Scene) -> list[str]:
    return [fault for base in scene.place.glob("cache/bases/*/") for fault in torn(base)]


def _torn_registry(storage: Path) -> list[str]:
    """A tag must not stand before all that it needs."""
    blobs = {path.parent.name for path in stored_blobs(storage)}
    return corrupt_blobs(storage) + [f"tag {tag}" for tag, digest in _tags(storage).items() if digest[7:] not in blobs]


def _tags(storage: Path) -> dict[str, str]:
    there = (storage / "docker/registry/v2/repositories/chaos/_manifests/tags").exists()
    return stored_tags(storage, "chaos") if there else {}
