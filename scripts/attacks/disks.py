"""A disk that is full after so many bytes, for the output, the cache, the engine and the home: a clear error each time?

Each place is a file system of its own (tmpfs), that has room for a part of what a build writes there. An error has to
have one of imgasm's exit codes and a hint, nothing may be torn, and with more room the same command has to work.
"""

from __future__ import annotations

import random
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from attacks.scene import Scene, torn

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator
    from pathlib import Path

COUNT: Final = 20
_PLACES: Final = ("output", "cache", "engine", "home")
_EXPECTED: Final = (5, 6, 11)
"""An engine's error, a step's, a file's."""
_PAGE: Final = 4096
_LARGE: Final = 256 << 20

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
        _sizes(scene, name, wanted.count, chance, tallies[name])


def _sizes(scene: Scene, name: str, count: int, chance: random.Random, tally: Tally) -> None:
    disk = scene.place / f"disk-{name}"
    command, more = _command(scene, name, disk)
    with _disk(disk, _LARGE):
        if (done := scene.run(command, more)).status:
            tally.failed.append(f"{name}: with room for all it ended with {done.status}: {done.told[-500:]}")
            return
        needed = _used(disk)
    for number in range(count):
        size = (round(needed * (number + chance.random()) / count) // _PAGE + 1) * _PAGE
        with _disk(disk, size):
            done = scene.run(command, more)
            tally.sizes += 1
            tally.refused += done.status in _EXPECTED
            where = f"{name} of {size} bytes"
            if done.status and (done.status not in _EXPECTED or "hint: " not in done.told or "Traceback" in done.told):
                tally.unclear.append(f"{where}: status {done.status}: {done.told[-500:]}")
            tally.torn += [f"{where}: {fault}" for layout in _layouts(scene, disk) for fault in torn(layout)]
            subprocess.run(["mount", "-o", f"remount,size={_LARGE}", disk], check=True)
            again = scene.run(command, more)
            if again.status:
                tally.failed.append(f"{where}, said again with room: status {again.status}: {again.told[-500:]}")
            tally.torn += [f"{where}, again: {fault}" for layout in _layouts(scene, disk) for fault in torn(layout)]
        scene.remove("out")


def _command(scene: Scene, name: str, disk: Path) -> tuple[list[str], dict[str, str]]:
    if name == "engine":
        storage = scene.place / "storage.conf"
        storage.write_text(f'[storage]\ndriver = "overlay"\ngraphroot = "{disk}/data"\nrunroot = "{disk}/run"\n')
        build = scene.imgasm("build", "recipe.toml", "--engine", "podman", "--output", "out", "--no-cache", "-q")
        return build, {"CONTAINERS_STORAGE_CONF": str(storage)}
    output = disk / "out" if name == "output" else scene.place / "out"
    variable = {"cache": {"IMGASM_CACHE": str(disk / "cache")}, "home": {"IMGASM_CACHE": "", "HOME": str(disk)}}
    return scene.imgasm("build", "still.toml", "--output", str(output), "--no-cache", "-q"), variable.get(name, {})


def _layouts(scene: Scene, disk: Path) -> list[Path]:
    roots = (disk, scene.place / "out", scene.place / "cache")
    return [path.parent for root in roots for path in root.rglob("oci-layout") if "overlay" not in path.parts]


def _used(disk: Path) -> int:
    answer = subprocess.run(["df", "--output=used", "-B1", disk], check=True, text=True, capture_output=True).stdout
    return int(answer.split()[-1])


@contextmanager
def _disk(place: Path, size: int) -> Iterator[None]:
    place.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "none", place], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--recursive", "--lazy", place], check=True)
