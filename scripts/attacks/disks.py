"""A disk that is full after so many bytes, for the output, the cache, the engine and the home: a clear error each time?

Each place is a file system of its own (tmpfs), that has room for a part of what a build writes there. An error has to
have one of imgasm's exit codes and a hint, nothing may be torn, and with more room the same command has to work. Docker
goes on while its disk is full: it is a dockerd of its own, all of which lies there.
"""

from __future__ import annotations

import os
import random
import subprocess
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from attacks.scene import Scene, torn

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

COUNT: Final = 20
_PLACES: Final = ("output", "cache", "engine-docker", "engine-podman", "home")
_EXPECTED: Final = (5, 6, 11)
"""An engine's error, a step's, a file's."""
_PAGE: Final = 4096
_LARGE: Final = 256 << 20
_ONE_BUILD: Final = 4 << 20
"""Bytes that a build writes to Docker's disk at most: its base, the container, the scratch volume."""
_WITH_ENGINE: Final = Path(__file__).parents[1] / "with-engine"

_STILL: Final = """
name = "still"
[base]
rootfs = "base.tar"
[[file]]
path = "/opt/a"
content = "a"
[[image]]
name = "still"
"""


@dataclass(slots=True)
class Tally:
    """``refused`` are the errors that were clear. The rest must stay empty."""

    sizes: int = 0
    refused: int = 0
    unclear: list[str] = field(default_factory=list)
    torn: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)

    @property
    def is_good(self) -> bool:
        return not (self.unclear or self.torn or self.failed)


def storm(place: Path, wanted: argparse.Namespace, tallies: dict[str, Tally]) -> None:
    """So many sizes for each place."""
    chance, scene = random.Random(wanted.seed), Scene(place)
    (place / "still.toml").write_text(_STILL)
    for name in _PLACES:
        tallies[name] = Tally()
        with _dockerd() if name == "engine-docker" else _anew(place / f"disk-{name}") as disk:
            _sizes(scene, name, disk, [(number + chance.random()) / wanted.count for number in range(wanted.count)],
                   tallies[name])  # fmt: skip


def _sizes(scene: Scene, name: str, disk: _Disk, parts: list[float], tally: Tally) -> None:
    """``parts`` of what a build needs."""
    command, more = _command(scene, name, disk.place)
    disk.resize(_LARGE)
    if (done := scene.run(command, {**more, **disk.variables})).status:
        tally.failed.append(f"{name}: with room for all it ended with {done.status}: {done.told[-500:]}")
        return
    needed = disk.needed()
    disk.empty()
    for part in parts:
        size = (round(needed * part) // _PAGE + 1) * _PAGE
        disk.resize(size)
        done = scene.run(command, {**more, **disk.variables})
        tally.sizes += 1
        tally.refused += done.status in _EXPECTED
        where = f"{name} of {size} bytes"
        if done.status and (done.status not in _EXPECTED or "hint: " not in done.told or "Traceback" in done.told):
            tally.unclear.append(f"{where}: status {done.status}: {done.told[-500:]}")
        tally.torn += [f"{where}: {fault}" for layout in _layouts(scene, disk.place) for fault in torn(layout)]
        disk.resize(_LARGE)
        again = scene.run(command, {**more, **disk.variables})
        if again.status:
            tally.failed.append(f"{where}, said again with room: status {again.status}: {again.told[-500:]}")
        tally.torn += [f"{where}, again: {fault}" for layout in _layouts(scene, disk.place) for fault in torn(layout)]
        disk.empty()
        scene.remove("out")


def _command(scene: Scene, name: str, disk: Path) -> tuple[list[str], dict[str, str]]:
    if name.startswith("engine"):
        engine = name.partition("-")[2]
        storage = scene.place / "storage.conf"
        storage.write_text(f'[storage]\ndriver = "overlay"\ngraphroot = "{disk}/data"\nrunroot = "{disk}/run"\n')
        build = scene.imgasm("build", "recipe.toml", "--engine", engine, "--output", "out", "--no-cache", "-q")
        return build, {"CONTAINERS_STORAGE_CONF": str(storage)}
    output = disk / "out" if name == "output" else scene.place / "out"
    variable = {"cache": {"IMGASM_CACHE": str(disk / "cache")}, "home": {"IMGASM_CACHE": "", "HOME": str(disk)}}
    return scene.imgasm("build", "still.toml", "--output", str(output), "--no-cache", "-q"), variable.get(name, {})


def _layouts(scene: Scene, disk: Path) -> list[Path]:
    roots = (disk, scene.place / "out", scene.place / "cache")
    return [path.parent for root in roots for path in root.rglob("oci-layout") if "overlay" not in path.parts]


class _Disk:
    """A file system at ``place`` that is made with its first size, and made anew after :meth:`empty`."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.variables: dict[str, str] = {}
        self._is_there = False

    def resize(self, size: int) -> None:
        what = ["-o", f"remount,size={size}"] if self._is_there else ["-t", "tmpfs", "-o", f"size={size}", "none"]
        subprocess.run(["mount", *what, str(self.place)], check=True)
        self._is_there = True

    def used(self) -> int:
        command = ["df", "--output=used", "-B1", str(self.place)]
        return int(subprocess.run(command, check=True, text=True, capture_output=True).stdout.split()[-1])

    def needed(self) -> int:
        return self.used()

    def empty(self) -> None:
        subprocess.run(["umount", "--recursive", "--lazy", self.place], check=True)
        self._is_there = False


class _DockersDisk(_Disk):
    """That of a dockerd which is there already, and stays: sizes are what is left beside that."""

    def __init__(self, place: Path, host: str) -> None:
        super().__init__(place)
        self._is_there = True
        self.variables = {"DOCKER_HOST": host}
        self._former = self.used()

    def resize(self, size: int) -> None:
        super().resize(self._former + size)

    def needed(self) -> int:
        return max(self.used() - self._former, _ONE_BUILD)

    def empty(self) -> None:
        subprocess.run(["docker", "system", "prune", "--all", "--force", "--volumes"], check=True, capture_output=True,
                       env={**os.environ, **self.variables})  # fmt: skip
        self._former = self.used()


@contextmanager
def _anew(place: Path) -> Iterator[_Disk]:
    place.mkdir()
    disk = _Disk(place)
    try:
        yield disk
    finally:
        subprocess.run(["umount", "--recursive", "--lazy", place], check=False, capture_output=True)


@contextmanager
def _dockerd() -> Iterator[_Disk]:
    """A private dockerd on a disk of its own, at a path that is short enough for its sockets."""
    with tempfile.TemporaryDirectory(prefix="chaos-", dir="/var/tmp") as directory, _anew(Path(directory, "d")) as disk:
        disk.resize(_LARGE)
        nobody = {**os.environ, "IMGASM_ENGINE": "docker", "DOCKER_HOST": "unix:///nonexistent"}
        command = [str(_WITH_ENGINE), "sh", "-c", "echo $DOCKER_HOST; read -r end"]
        with subprocess.Popen(command, env={**nobody, "IMGASM_ENGINE_DIR": str(disk.place)}, text=True,
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as engine:
            assert engine.stdout is not None
            yield _DockersDisk(disk.place, engine.stdout.readline().strip())
