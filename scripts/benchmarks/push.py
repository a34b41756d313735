"""``scripts/bench push``: imgasm push beside skopeo copy and docker push, each to an empty registry on loopback.

The layer is gzip already, so that skopeo sends it as it is. Docker's own store keeps no compressed layers: it
compresses again, which is what its users wait for.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from benchmarks.compare import Spread
from benchmarks.measure import measure
from benchmarks.random_image import make_image_apart
from benchmarks.registry import corrupt_blobs, registry, stored_tags
from benchmarks.table import aligned

if TYPE_CHECKING:
    from benchmarks.measure import Run
    from benchmarks.random_image import RandomImage

_OURS: Final = "imgasm push"
_TOOLS: Final = (_OURS, "skopeo copy", "docker push")
_NAME: Final = "imgasm-bench-push"
_MEMORY: Final = 120_000_000
"""Bytes that imgasm may have at most, however large the layer is."""


def main(arguments: list[str]) -> None:
    wanted = _arguments(arguments)
    tools = [tool for tool in _TOOLS if tool == _OURS or _is_wanted(tool, wanted.only)]
    wanted.work.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=wanted.work, prefix="push-") as directory:
        place = Path(directory)
        image = make_image_apart(place / "layout", wanted.megabytes, seed=1)
        try:
            runs = _race(tools, image, place, wanted)
        finally:
            _forget()
    report = _report(runs, image)
    if wanted.json:
        wanted.json.write_text(json.dumps(report, indent=2) + "\n")
    print(_text(report))
    if report["tools"][_OURS]["memory"] > _MEMORY:
        sys.exit(f"imgasm push had {report['tools'][_OURS]['memory']} bytes of memory; at most {_MEMORY} are allowed")


def _arguments(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/bench push", description="A gzip layer to a registry on loopback.")
    parser.add_argument("--megabytes", type=float, default=512, metavar="SIZE", help="of a layer; default: %(default)s")
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="pushes of each tool; default: %(default)s")
    parser.add_argument("--tls", action="store_true", help="to a registry that speaks TLS")
    parser.add_argument("--only", action="append", metavar="WORD", help="peers with this in their name; repeatable")
    parser.add_argument("--work", type=Path, default=Path("/var/tmp/imgasm-bench"), help="default: %(default)s")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    return parser.parse_args(arguments)


def _is_wanted(tool: str, only: list[str] | None) -> bool:
    return shutil.which(tool.split()[0]) is not None and (not only or any(word in tool for word in only))


def _race(tools: list[str], image: RandomImage, place: Path, wanted: argparse.Namespace) -> dict[str, list[Run]]:
    """Every other round goes backwards, so that nobody always runs after the same one."""
    runs: dict[str, list[Run]] = {tool: [] for tool in tools}
    if "docker push" in tools:
        _load(image)
    for number in range(wanted.rounds):
        for tool in tools if number % 2 == 0 else reversed(tools):
            runs[tool].append(_push(tool, image, place / "running", tls=wanted.tls))
            print(f"{number + 1}/{wanted.rounds} {tool}: {runs[tool][-1].process_seconds:.2f} s", file=sys.stderr)
    return runs


def _push(tool: str, image: RandomImage, place: Path, *, tls: bool) -> Run:
    """To a registry of its own: none of the tools can find or remember anything there."""
    place.mkdir()
    try:
        with registry(place / "registry", tls=tls) as (host, storage):
            name = f"{host}/bench:it"
            os.sync()
            command = _command(tool, image, name, place / "registry" if tls else None)
            run = measure(command, _new(place / "temporary"), {})
            assert not corrupt_blobs(storage)
            tags = stored_tags(storage, "bench")
            assert list(tags) == ["it"] and (tool == "docker push" or tags["it"] == image.digest), (tool, tags)
            return run
    finally:
        shutil.rmtree(place)


def _command(tool: str, image: RandomImage, name: str, trusted: Path | None) -> list[str]:
    """``trusted``: a directory with the ca.crt of a registry that speaks TLS. Docker checks none on loopback."""
    if tool == _OURS:
        transport = ["--tls", "--ca-file", str(trusted / "ca.crt")] if trusted else []
        return [sys.executable, "-m", "assembler", "push", "-q", *transport, str(image.layout), name]
    if tool == "skopeo copy":
        transport = [f"--dest-cert-dir={trusted}"] if trusted else ["--dest-tls-verify=false"]
        return ["skopeo", "copy", "-q", "--insecure-policy", *transport, f"oci:{image.layout}:it", f"docker://{name}"]
    subprocess.run(["docker", "tag", _NAME, name], check=True)
    return ["docker", "push", "-q", name]


def _load(image: RandomImage) -> None:
    copy = ["skopeo", "copy", "-q", "--insecure-policy", f"oci:{image.layout}:it"]
    with tempfile.TemporaryDirectory(dir=image.layout.parent) as directory:
        archive = f"{directory}/archive.tar"
        subprocess.run([*copy, f"docker-archive:{archive}:{_NAME}:latest"], check=True)
        subprocess.run(["docker", "load", "-q", "-i", archive], check=True, stdout=subprocess.DEVNULL)


def _forget() -> None:
    """Every name that the runs gave the image in Docker."""
    listed = subprocess.run(["docker", "images", "-q", _NAME], capture_output=True, text=True, check=False).stdout
    for identity in set(listed.split()):
        subprocess.run(["docker", "rmi", "-f", identity], check=False, capture_output=True)


def _new(directory: Path) -> Path:
    directory.mkdir()
    return directory


def _report(runs: dict[str, list[Run]], image: RandomImage) -> dict[str, Any]:
    """Ratios are imgasm's seconds by the peer's, each of one round: below 1 is faster."""
    return {
        "layer": image.layer,
        "load": os.getloadavg()[0],
        "tools": {
            tool: {
                "seconds": asdict(Spread.of(run.process_seconds for run in found)),
                "processor_seconds": asdict(Spread.of(run.processor_seconds for run in found)),
                "megabytes_per_second": image.layer / 1e6 / Spread.of(run.process_seconds for run in found).median,
                "memory": max(run.memory for run in found),
            }
            for tool, found in runs.items()
        },
        "ratios": {tool: asdict(_ratio(runs[_OURS], found)) for tool, found in runs.items() if tool != _OURS},
    }


def _ratio(ours: list[Run], theirs: list[Run]) -> Spread:
    return Spread.of(our.process_seconds / their.process_seconds for our, their in zip(ours, theirs, strict=True))


def _text(report: dict[str, Any]) -> str:
    titles = ("", "seconds (min, median, max)", "MB/s", "memory of the client", "imgasm's time by its")
    rows: list[tuple[str, ...]] = [titles]
    for tool, found in report["tools"].items():
        ratio = report["ratios"].get(tool)
        rows.append((tool, _spread(found["seconds"]), f"{found['megabytes_per_second']:.0f}",
                     f"{found['memory'] / 1e6:.0f} MB", _spread(ratio) if ratio else ""))
    return "\n".join([f"a gzip layer of {report['layer'] / 1e6:.0f} MB, load {report['load']:.1f}", *aligned(rows)])


def _spread(found: dict[str, float]) -> str:
    return ", ".join(f"{found[key]:.2f}" for key in ("minimum", "median", "maximum"))
