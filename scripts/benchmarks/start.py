"""``scripts/bench start``: what it costs to start imgasm, beside the bare interpreter and pip.

Processor time, user and system: on a busy machine it tells more than the clock. Bytecode is compiled before anything
is measured, as an installed program's is.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from benchmarks.compare import Spread
from benchmarks.measure import measure
from benchmarks.table import aligned

if TYPE_CHECKING:
    from benchmarks.measure import Run

_PROGRAMS: Final = Path(sys.executable).parent
_RECIPE: Final = Path(__file__).parents[2] / "recipes" / "hello.toml"
_IMGASM: Final = str(_PROGRAMS / "imgasm")
_TAB: Final = {"_IMGASM_COMPLETE": "complete_bash", "COMP_WORDS": "imgasm pu", "COMP_CWORD": "1"}
"""The environment in which bash asks what to complete."""

_PEERS: Final = ("python3 -c pass", "pip --version")
_COMMANDS: Final = {
    _PEERS[0]: [sys.executable, "-c", "pass"],
    _PEERS[1]: [str(_PROGRAMS / "pip"), "--version"],
    "imgasm --version": [_IMGASM, "--version"],
    "imgasm --help": [_IMGASM, "--help"],
    "imgasm pu<Tab>": [_IMGASM],
    "imgasm plan": [_IMGASM, "plan", str(_RECIPE)],
}


def main(arguments: list[str]) -> None:
    wanted = _arguments(arguments)
    with tempfile.TemporaryDirectory(prefix="imgasm-bench-start-") as directory:
        report = _report(_race(wanted.rounds, Path(directory)))
    if wanted.json:
        wanted.json.write_text(json.dumps(report, indent=2) + "\n")
    print(_text(report))


def _arguments(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/bench start", description="What it costs to start imgasm.")
    parser.add_argument("--rounds", type=int, default=15, metavar="N", help="of each command; default: %(default)s")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    return parser.parse_args(arguments)


def _race(rounds: int, place: Path) -> dict[str, list[Run]]:
    """Every other round goes backwards, so that nobody always runs after the same one."""
    runs: dict[str, list[Run]] = {name: [] for name in _COMMANDS}
    for name in _COMMANDS:
        _run(name, place)
    for number in range(rounds):
        for name in _COMMANDS if number % 2 == 0 else reversed(_COMMANDS):
            runs[name].append(_run(name, place))
    return runs


def _run(name: str, place: Path) -> Run:
    watched = place / "temporary"
    watched.mkdir(exist_ok=True)
    asked = _TAB if name == "imgasm pu<Tab>" else {}
    run = measure(_COMMANDS[name], watched, {"PYTHONPYCACHEPREFIX": str(place / "bytecode"), **asked})
    assert run.output.strip() or name == _PEERS[0], name
    return run


def _report(runs: dict[str, list[Run]]) -> dict[str, Any]:
    """Ratios are the command's processor seconds by the peer's, each of one round."""
    return {
        "load": os.getloadavg()[0],
        "commands": {
            name: {
                "processor_seconds": asdict(Spread.of(run.processor_seconds for run in found)),
                "ratios": {peer: asdict(_ratio(found, runs[peer])) for peer in _PEERS if peer != name},
            }
            for name, found in runs.items()
        },
    }


def _ratio(ours: list[Run], theirs: list[Run]) -> Spread:
    return Spread.of(our.processor_seconds / their.processor_seconds for our, their in zip(ours, theirs, strict=True))


def _text(report: dict[str, Any]) -> str:
    rows: list[tuple[str, ...]] = [("", "processor seconds (min, median, max)", *(f"by {peer}" for peer in _PEERS))]
    for name, found in report["commands"].items():
        ratios = (found["ratios"].get(peer) for peer in _PEERS)
        rows.append((name, _spread(found["processor_seconds"], 3), *(_spread(one, 2) if one else "" for one in ratios)))
    return "\n".join([f"load {report['load']:.1f}", *aligned(rows)])


def _spread(found: dict[str, float], digits: int) -> str:
    return ", ".join(f"{found[key]:.{digits}f}" for key in ("minimum", "median", "maximum"))
