"""Builds the trees, lets the contenders take turns, and tells how it went."""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from benchmarks import again, outside, push, recipe, start, table
from benchmarks.compare import Results, of_tree
from benchmarks.contenders import Contender, Imgasm, Pipeline
from benchmarks.engines import Build, Buildah, Docker, Umoci
from benchmarks.measure import measure
from benchmarks.trees import TREES, make_tree

if TYPE_CHECKING:
    from benchmarks.trees import Tree

_ZSTD, _GZIP = Imgasm("zstd", 3), Imgasm("gzip", 6)
# Those that are compared most narrowly stand side by side.
_CONTENDERS: Final[tuple[Contender, ...]] = (
    Pipeline("zstd -q -3 -T2", _ZSTD.name),
    _ZSTD,
    Build(_ZSTD.name),
    Pipeline("pigz -6 -p 2", _GZIP.name),
    _GZIP,
    Umoci(_GZIP.name),
    Buildah(_ZSTD.name),
    Docker(_ZSTD.name),
)
_INSIDE: Final = "IMGASM_BENCH_INSIDE"


def main() -> None:
    if sys.argv[1:2] == ["push"]:
        if shutil.which("docker") and _INSIDE not in os.environ:
            _start_again_with_engine()
        push.main(sys.argv[2:])
        return
    with_engine = {"again": again, "outside": outside, "recipe": recipe}
    if sys.argv[1:2] and sys.argv[1] in with_engine:
        if _INSIDE not in os.environ:
            _start_again_with_engine()
        with_engine[sys.argv[1]].main(sys.argv[2:])
        return
    if sys.argv[1:2] == ["start"]:
        start.main(sys.argv[2:])
        return
    wanted = _arguments()
    contenders = [contender for contender in _CONTENDERS if _is_wanted(contender, wanted.only)]
    if any(contender.engine for contender in contenders) and _INSIDE not in os.environ:
        _start_again_with_engine()
    wanted.work.mkdir(parents=True, exist_ok=True)
    trees = [make_tree(name, wanted.work) for name in wanted.tree or ["reference"]]
    report: dict[str, Any] = {"machine": _machine(), "versions": _versions(), "trees": []}
    for tree in trees:
        report["trees"].append(of_tree(tree, _race(tree, contenders, wanted.rounds, wanted.work)))
    if wanted.json:
        wanted.json.write_text(json.dumps(report, indent=2) + "\n")
    print(table.markdown(report) if wanted.markdown else table.text(report))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/bench", description="imgasm beside those peers that are installed.",
                                     epilog="scripts/bench push --help: the same for pushes to a registry. "
                                            "scripts/bench start --help: for the start of imgasm itself.")
    parser.add_argument("--tree", action="append", choices=sorted(TREES), help="may be repeated (default: reference)")
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="runs of each contender (default: 3)")
    parser.add_argument("--only", action="append", metavar="WORD", help="those with this in their name; repeatable")
    parser.add_argument("--work", type=Path, default=Path("/var/tmp/imgasm-bench"),
                        help="where the trees are kept, on a disk (default: %(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    parser.add_argument("--markdown", action="store_true", help="print the tables as Markdown")
    return parser.parse_args()


def _is_wanted(contender: Contender, only: list[str] | None) -> bool:
    return contender.is_installed() and (not only or any(word in contender.name for word in only))


def _start_again_with_engine() -> None:
    with_engine = Path(__file__).parent.parent / "with-engine"
    variables = {**os.environ, _INSIDE: "1", "IMGASM_ENGINE": "docker"}
    os.execve(with_engine, [str(with_engine), sys.executable, "-m", "benchmarks", *sys.argv[1:]], variables)


def _race(tree: Tree, contenders: list[Contender], rounds: int, work: Path) -> dict[Contender, Results]:
    """Every other round goes backwards, so that nobody always runs after the same one."""
    results = {contender: Results() for contender in contenders}
    for number in range(rounds):
        for contender in contenders if number % 2 == 0 else reversed(contenders):
            _run(contender, tree, work / "running" / "output", results[contender])
            last = results[contender].seconds[-1]
            print(f"{tree.name} {number + 1}/{rounds} {contender.name}: {last:.2f} s", file=sys.stderr)
    return results


def _run(contender: Contender, tree: Tree, place: Path, results: Results) -> None:
    """Contenders keep what is not theirs to write, like another engine's storage, beside ``place``."""
    shutil.rmtree(place.parent, ignore_errors=True)
    place.mkdir(parents=True)
    try:
        with contender.ready(tree, place) as task:
            subprocess.run(["sh", "-c", 'tar -C "$0" -c . | cat >/dev/null', task.reads], check=True)
            os.sync()
            run = measure(task.command, place, task.environment)
            results.add(run, task.seconds(run), task.blob(run))
    finally:
        shutil.rmtree(place.parent)


def _machine() -> dict[str, Any]:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {"processor": names[0] if names else platform.machine(), "cores": os.cpu_count(), "memory": memory,
            "kernel": platform.release(), "load": os.getloadavg()[0]}


def _versions() -> dict[str, str]:
    """The first line that each program tells of itself."""
    commands = {
        "tar": ["tar", "--version"], "zstd": ["zstd", "--version"], "pigz": ["pigz", "--version"],
        "docker": ["docker", "version", "--format", "Docker {{.Server.Version}}"],
        "buildah": ["buildah", "--version"], "umoci": ["umoci", "--version"],
    }
    found = {}
    for name, command in commands.items():
        if shutil.which(name):
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode == 0:  # docker tells nothing without its daemon
                found[name] = (done.stdout or done.stderr).strip().partition("\n")[0].strip("* ")
    return found


if __name__ == "__main__":
    main()
