"""Builds that start at once with one cache and one output: does each end well, and is everything there in the end?"""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from attacks.scene import Scene, mounts_below, torn, traces

if TYPE_CHECKING:
    import argparse
    from pathlib import Path

COUNT: Final = 20


@dataclass(slots=True)
class Tally:
    builds: int = 0
    failed: list[str] = field(default_factory=list)
    torn: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)

    @property
    def is_good(self) -> bool:
        return not (self.failed or self.torn or self.lost or self.left)


def storm(place: Path, wanted: argparse.Namespace, tallies: dict[str, Tally]) -> None:
    """So many builds at once, with a cold cache."""
    scene, tally = Scene(place), Tally(wanted.count)
    tallies["crowd"] = tally
    engine = os.environ.get("IMGASM_ENGINE", "docker")
    names = [f"crowd{number}" for number in range(wanted.count)]
    recipe = (place / "recipe.toml").read_text()
    for name in names:
        (place / f"{name}.toml").write_text(recipe.replace('"chaos', f'"{name}').replace("/opt/sum", f"/opt/{name}"))
    builds = [
        subprocess.Popen(scene.imgasm("build", f"{name}.toml", "--engine", engine, "--output", "out", "-q"), cwd=place,
                         env=scene.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        for name in names
    ]  # fmt: skip
    for name, build in zip(names, builds, strict=True):
        told = build.communicate()[0]
        if build.returncode:
            tally.failed.append(f"{name}: status {build.returncode}: {told[-500:]}")
    tally.torn = torn(place / "out")
    entries = json.loads((place / "out/index.json").read_bytes())["manifests"]
    listed = {text for entry in entries for text in entry["annotations"].values()}
    tally.lost = [name for name in names if not any(f"/{name}:" in text for text in listed)]
    recorded = scene.run(scene.imgasm("verify", "out"))
    if recorded.status:
        tally.torn.append(recorded.told)
    scene.run(scene.imgasm("clean", "--engine", engine))
    tally.left = traces(engine) + mounts_below(place) + [str(path) for path in (place / "out").glob(".incoming-*")]
