"""``scripts/bench again``: the same build again, with nothing and with its last step changed, beside its peers.

The steps are the same ones for all: a long one that writes many files and a short one. The contenders take turns, and
each ratio is one of two builds of the same round: what else the machine does meets both.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from benchmarks.compare import Spread
from benchmarks.measure import Run, measure
from benchmarks.table import aligned

_IMGASM: Final = str(Path(sys.executable).parent / "imgasm")
_CASES: Final = ("first", "nothing changed", "last step changed")
_LONG: Final = """i=0; mkdir -p /opt/made; while [ $i -lt {files} ]; do echo $i > /opt/made/$i; i=$((i + 1)); done
head -c {bytes} /dev/urandom > /opt/made/big; sleep {seconds}"""
_SHORT: Final = "echo {number} > /opt/last"
_RECIPE: Final = """
name = "again"
[base]
rootfs = "base.tar"
[container]
network = "none"
[[step]]
name = "long"
checkpoint = true
run = '''{long}'''
[[step]]
name = "short"
run = '''{short}'''
[[image]]
name = "again"
compression = "gzip"
"""

Again = Callable[[Path, int], Run]
"""Builds in a directory; another number makes another last step."""


def main(arguments: list[str]) -> None:
    wanted = _arguments(arguments)
    wanted.work.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="imgasm-bench-again-", dir=wanted.work) as directory:
        report = _report(_race(Path(directory), wanted))
    if wanted.json:
        wanted.json.write_text(json.dumps(report, indent=2) + "\n")
    print(_text(report))


def _arguments(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/bench again", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="of each case; default: %(default)s")
    parser.add_argument("--files", type=int, default=5000, metavar="N", help="of the long step; default: %(default)s")
    parser.add_argument("--bytes", type=int, default=100_000_000, metavar="N", help="of its largest file")
    parser.add_argument("--seconds", type=float, default=10, metavar="S", help="that it does nothing")
    parser.add_argument("--work", type=Path, default=Path("/var/tmp"), metavar="DIR")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    return parser.parse_args(arguments)


def _contenders() -> dict[str, Again]:
    """Those whose programs are here."""
    peers: dict[str, Again] = {"docker build": _docker, "buildah build --layers": _buildah}
    return {"imgasm": _imgasm, **{name: again for name, again in peers.items() if shutil.which(name.split()[0])}}


def _race(directory: Path, wanted: argparse.Namespace) -> dict[str, dict[str, list[Run]]]:
    contenders = _contenders()
    places = {name: directory / name.split()[0] for name in contenders}
    runs: dict[str, dict[str, list[Run]]] = {name: {case: [] for case in _CASES} for name in contenders}
    for name, again in contenders.items():
        places[name].mkdir()
        write_base(places[name] / "base.tar")
        _write_long(places[name], wanted)
        runs[name]["first"].append(again(places[name], 0))
    for number in range(1, wanted.rounds + 1):
        for case in _CASES[:0:-1]:
            for name, again in contenders.items():
                runs[name][case].append(again(places[name], number))
    return runs


def write_base(path: Path) -> None:
    """A static busybox under all its names."""
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        for name in ("bin", "opt", "tmp", "etc"):
            (root / name).mkdir()
        shutil.copy2("/bin/busybox", root / "bin/busybox")
        names = subprocess.run(["/bin/busybox", "--list"], check=True, capture_output=True, text=True).stdout.split()
        for name in names:
            if name != "busybox":
                (root / "bin" / name).symlink_to("busybox")
        command: list[str | Path] = ["tar", "--create", "--file", path, "--owner=0", "--group=0", "--directory", root,
                                     "."]  # fmt: skip
        subprocess.run(command, check=True)


def _write_long(place: Path, wanted: argparse.Namespace) -> None:
    (place / "long").write_text(_LONG.format(files=wanted.files, bytes=wanted.bytes, seconds=wanted.seconds))


def _imgasm(place: Path, number: int) -> Run:
    long, short = (place / "long").read_text(), _SHORT.format(number=number)
    (place / "again.toml").write_text(_RECIPE.format(long=long, short=short))
    with _inside(place):
        return measure([_IMGASM, "build", "again.toml", "--quiet"], _watched(place),
                       {"IMGASM_CACHE": str(place / "cache"), "SOURCE_DATE_EPOCH": "1700000000"})  # fmt: skip


def _docker(place: Path, number: int) -> Run:
    """The classic builder: BuildKit is a plugin that is seldom there, and works the same way."""
    _write_dockerfile(place, number)
    return measure(["docker", "build", "--network", "none", "--tag", "bench-again", str(place)], _watched(place),
                   {"DOCKER_BUILDKIT": "0"})  # fmt: skip


def _buildah(place: Path, number: int) -> Run:
    _write_dockerfile(place, number)
    return measure(["buildah", "build", "--layers", "--isolation", "chroot", "--root", str(place / "storage"), "--tag",
                    "bench-again", str(place)], _watched(place), {})  # fmt: skip


def _write_dockerfile(place: Path, number: int) -> None:
    """Its context holds the base, and nothing else that changes."""
    (place / ".dockerignore").write_text("*\n!base.tar\n!long\n")
    (place / "Dockerfile").write_text(
        f"FROM scratch\nADD base.tar /\nCOPY long /tmp/long\nRUN sh /tmp/long\nRUN {_SHORT.format(number=number)}\n")


@contextmanager
def _inside(place: Path) -> Iterator[None]:
    before = Path.cwd()
    os.chdir(place)
    try:
        yield
    finally:
        os.chdir(before)


def _watched(place: Path) -> Path:
    directory = place / "temporary"
    directory.mkdir(exist_ok=True)
    return directory


def _report(runs: dict[str, dict[str, list[Run]]]) -> dict[str, Any]:
    """Ratios are imgasm's seconds by the peer's in the same round. ``processor`` is that of imgasm's own process: its
    peers' work is done by others."""
    seconds = {name: {case: [run.process_seconds for run in found] for case, found in cases.items()}
               for name, cases in runs.items()}  # fmt: skip
    ours = seconds["imgasm"]
    return {
        "load": os.getloadavg()[0],
        "seconds": {name: {case: asdict(Spread.of(found)) for case, found in cases.items()}
                    for name, cases in seconds.items()},
        "processor": {case: asdict(Spread.of(run.processor_seconds for run in found))
                      for case, found in runs["imgasm"].items()},
        "ratios": {name: {case: asdict(Spread.of(mine / theirs for mine, theirs in zip(ours[case], cases[case],
                                                                                      strict=True)))
                          for case in _CASES}
                   for name, cases in seconds.items() if name != "imgasm"},
    }  # fmt: skip


def _text(report: dict[str, Any]) -> str:
    lines = {**report["seconds"], "imgasm, of a processor": report["processor"],
             **{f"imgasm by {name}": cases for name, cases in report["ratios"].items()}}  # fmt: skip
    rows: list[tuple[str, ...]] = [("minimum, median, maximum", *_CASES)]
    for name, cases in lines.items():
        told = (", ".join(f"{cases[case][which]:.2f}" for which in ("minimum", "median", "maximum")) for case in _CASES)
        rows.append((name, *told))
    return "\n".join([f"load {report['load']:.1f}", *aligned(rows)])
