"""``scripts/bench outside``: what a build costs outside its steps, by part, beside ``docker run --rm``.

The steps do nothing. A shim before the engine's client notes when each call of it began and ended; what no call took is
imgasm's own.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
from collections import defaultdict
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from benchmarks.again import write_base
from benchmarks.compare import Spread
from benchmarks.measure import measure
from benchmarks.table import aligned

if TYPE_CHECKING:
    from benchmarks.measure import Run

_IMGASM: Final = str(Path(sys.executable).parent / "imgasm")
_STEPS: Final = 3
_RECIPE: Final = """
name = "outside"
source_date_epoch = 0
[base]
rootfs = "base.tar"
[container]
network = "none"
scratch = ["/build"]
[[file]]
path = "/opt/hello/hello"
content = "hello"
{steps}
[[image]]
name = "outside"
[[image]]
name = "outside-tiny"
onto = "scratch"
keep = ["/opt/hello/**"]
"""
_SHIM: Final = """#!/bin/bash
began=$EPOCHREALTIME
{docker} "$@"
status=$?
echo "$began $EPOCHREALTIME $1 $2" >>{log}
exit $status
"""
_PEER: Final = "docker run --rm"
_ALL: Final = "all, without steps"
_OWN: Final = "imgasm itself"


def main(arguments: list[str]) -> None:
    wanted = _arguments(arguments)
    wanted.work.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="imgasm-bench-outside-", dir=wanted.work) as directory:
        report = _report(_race(Path(directory), wanted.rounds))
    if wanted.json:
        wanted.json.write_text(json.dumps(report, indent=2) + "\n")
    print(_text(report))


def _arguments(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/bench outside", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="default: %(default)s")
    parser.add_argument("--work", type=Path, default=Path("/var/tmp"), metavar="DIR")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    return parser.parse_args(arguments)


def _race(place: Path, rounds: int) -> list[dict[str, float]]:
    """The first build, which brings the base to the engine, is not counted."""
    write_base(place / "base.tar")
    steps = "".join(f'[[step]]\nname = "{number}"\nrun = "true"\n' for number in range(_STEPS))
    (place / "outside.toml").write_text(_RECIPE.format(steps=steps))
    _write_shim(place / "shim")
    (place / "temporary").mkdir()
    _build(place)
    found = []
    for number in range(rounds):
        found.append({**_parts(place), _PEER: _run_nothing(place).process_seconds})
        print(f"{number + 1}/{rounds}: {found[-1][_ALL]:.2f} s", file=sys.stderr)
    return found


def _write_shim(directory: Path) -> None:
    directory.mkdir()
    shim = directory / "docker"
    shim.write_text(_SHIM.format(docker=shutil.which("docker"), log=directory / "log"))
    shim.chmod(0o755)


def _build(place: Path) -> Run:
    (place / "shim" / "log").unlink(missing_ok=True)
    return measure([_IMGASM, "build", str(place / "outside.toml"), "--no-cache", "--quiet", "--output",
                    str(place / "build")], place / "temporary",
                   {"PATH": f"{place / 'shim'}:{os.environ['PATH']}", "IMGASM_CACHE": str(place / "cache"),
                    "IMGASM_ENGINE": "docker"})  # fmt: skip


def _parts(place: Path) -> dict[str, float]:
    """Seconds by the engine's commands. A step's own is as the build's record has it."""
    run = _build(place)
    parts: dict[str, float] = defaultdict(float)
    for line in (place / "shim" / "log").read_text().splitlines():
        began, ended, command = line.split(" ", 2)
        parts["docker " + (command if command.split()[0] in ("container", "image") else command.split()[0])] += (
            float(ended) - float(began))
    steps = sum(step["seconds"] for step in json.loads((place / "build" / "imgasm.json").read_text())["steps"])
    parts["docker container exec"] -= steps
    everything = run.process_seconds - steps
    return {**parts, _OWN: everything - sum(parts.values()), _ALL: everything}


def _run_nothing(place: Path) -> Run:
    """A container of the base made, started and removed: less than that no build can do."""
    image = "localhost/imgasm/base"
    name = measure(["docker", "images", "--quiet", image], place / "temporary", {}).output.split()[0]
    return measure(["docker", "run", "--rm", "--network", "none", name, "/bin/true"], place / "temporary", {})


def _report(rounds: list[dict[str, float]]) -> dict[str, Any]:
    """The ratio is imgasm's time by that of ``docker run --rm``, each of one round."""
    return {
        "load": os.getloadavg()[0],
        "seconds": {part: asdict(Spread.of(found.get(part, 0.0) for found in rounds)) for part in rounds[-1]},
        "ratio": asdict(Spread.of(found[_ALL] / found[_PEER] for found in rounds)),
    }


def _text(report: dict[str, Any]) -> str:
    rows: list[tuple[str, ...]] = [("seconds", "min, median, max")]
    rows += [(part, _spread(found)) for part, found in report["seconds"].items()]
    return "\n".join([f"{_STEPS} steps that do nothing, load {report['load']:.1f}", *aligned(rows),
                      f"all by {_PEER}: {_spread(report['ratio'])}"])  # fmt: skip


def _spread(found: dict[str, float]) -> str:
    return ", ".join(f"{found[key]:.2f}" for key in ("minimum", "median", "maximum"))
