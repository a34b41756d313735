"""Pushes over a line that breaks, some of them killed and pushed again: is what the registry holds whole, and once?

Every push is ``imgasm push`` as a process, of an image of its own, through a proxy that cuts every connection after a
random number of bytes. A push that was killed, or gave up after its five tries, is started again, as a person would.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import statistics
import subprocess
import sys
import time
import urllib.request
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from benchmarks.random_image import make_image
from benchmarks.registry import corrupt_blobs, registry, stored_blobs, stored_tags

from attacks.cutting_proxy import cutting_proxy

if TYPE_CHECKING:
    from benchmarks.random_image import RandomImage

    from attacks.cutting_proxy import CuttingProxy

_REPOSITORY: Final = "chaos/app"
_BATCH: Final = 20
"""So many pushes go to one registry; then everything in it is read, and the next one starts empty."""

_ATTEMPTS: Final = 30
_KILLED_OF: Final = 4
_LIFE: Final = 1.0
"""How long a connection lives on average, in bytes of one image: every other upload breaks."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """One image's way. ``sent`` counts all bytes that left imgasm, ``size`` what one full upload has of them."""

    size: int
    sent: int
    cuts: int
    kills: int
    gave_up: int
    seconds: float


@dataclass(slots=True)
class Verdict:
    """What must stay empty."""

    corrupt: list[str] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)
    journals: list[str] = field(default_factory=list)
    unfinished: list[str] = field(default_factory=list)

    @property
    def is_good(self) -> bool:
        return not (self.corrupt or self.tags or self.journals or self.unfinished)


def main() -> None:
    wanted = _arguments()
    chance, verdict, outcomes = random.Random(wanted.seed), Verdict(), list[Outcome]()
    place = wanted.work / f"chaos-{os.getpid()}"
    place.mkdir(parents=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the registry goes and the disk is freed
    try:
        for first in range(0, wanted.pushes, _BATCH):
            numbers = range(first, min(first + _BATCH, wanted.pushes))
            outcomes += _batch(place / "registry", numbers, wanted, chance, verdict)
            shutil.rmtree(place / "registry")
    finally:
        shutil.rmtree(place)
    report = _report(outcomes, verdict)
    if wanted.json:
        wanted.json.write_text(json.dumps(report, indent=2) + "\n")
    print("\n".join(f"{key.replace('_', ' ')}: {value}" for key, value in report.items()))
    sys.exit(0 if verdict.is_good else 1)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/chaos", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--pushes", type=int, default=200, metavar="N", help="default: %(default)s")
    parser.add_argument("--megabytes", type=float, default=64, metavar="SIZE", help="of a layer; default: %(default)s")
    parser.add_argument("--seed", type=int, default=1, help="of bytes, cuts and kills; default: %(default)s")
    parser.add_argument("--work", type=Path, default=Path("/var/tmp/imgasm-bench"), help="default: %(default)s")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    return parser.parse_args()


def _batch(
    place: Path, numbers: range, wanted: argparse.Namespace, chance: random.Random, verdict: Verdict
) -> list[Outcome]:
    outcomes, expected = [], dict[str, str]()
    with registry(place) as (host, storage):
        for number in numbers:
            image = make_image(place / "layout", wanted.megabytes, wanted.seed * 1_000_000 + number)
            with cutting_proxy(host, _LIFE * image.size, chance.randrange(2**32)) as proxy:
                outcome = _push(image, f"v{number}", proxy, chance, verdict)
            expected |= {f"v{number}": image.digest, "latest": image.digest}
            _check_tags(host, storage, expected, verdict)
            shutil.rmtree(image.layout)
            outcomes.append(outcome)
            print(f"{number + 1}/{wanted.pushes}: {outcome.seconds:.1f} s, {outcome.cuts} cuts, {outcome.kills} kills, "
                  f"{outcome.sent / outcome.size:.2f} uploads", file=sys.stderr)
        verdict.corrupt += corrupt_blobs(storage)
        if len(stored_blobs(storage)) != 3 * len(numbers):
            verdict.corrupt.append(f"{len(stored_blobs(storage))} blobs instead of {3 * len(numbers)}")
    return outcomes


def _push(image: RandomImage, tag: str, proxy: CuttingProxy, chance: random.Random, verdict: Verdict) -> Outcome:
    """Until both tags are there. Every fourth image's first push is killed, at a random moment of its upload."""
    start, kills, gave_up = time.monotonic(), 0, 0
    command = [sys.executable, "-m", "assembler", "push", "-q", str(image.layout)]
    command += [f"{proxy.host}/{_REPOSITORY}:{tag}", "--tag", "latest"]
    if chance.random() < 0.5:
        command += ["--chunk-size", f"{max(image.layer // 6, 1)}B"]
    if chance.randrange(_KILLED_OF) == 0:
        kills += _kill(command, proxy, chance.uniform(0, image.layer))
    while not _run(command):
        gave_up += 1
        if gave_up == _ATTEMPTS:
            verdict.unfinished.append(tag)
            break
    if list(image.layout.glob("imgasm-push*")):
        verdict.journals.append(tag)
    return Outcome(image.size, proxy.sent, proxy.cuts, kills, gave_up, time.monotonic() - start)


def _run(command: list[str]) -> bool:
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def _kill(command: list[str], proxy: CuttingProxy, sent: float) -> int:
    """kill -9 once so many bytes were sent; 0 when the push was faster."""
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        while process.poll() is None:
            if proxy.sent > sent:
                process.kill()
            time.sleep(0.001)
        return int(process.returncode < 0)


def _check_tags(host: str, storage: Path, expected: dict[str, str], verdict: Verdict) -> None:
    """What the registry lists, and what lies on its disk: all tags, each once, each on its image."""
    with urllib.request.urlopen(f"http://{host}/v2/{_REPOSITORY}/tags/list") as answer:
        listed = sorted(json.load(answer)["tags"])
    stored = stored_tags(storage, _REPOSITORY)
    if listed != sorted(expected) or stored != expected:
        verdict.tags.append(f"{listed} {stored} instead of {expected}")


def _report(outcomes: list[Outcome], verdict: Verdict) -> dict[str, Any]:
    beyond = [(one.sent - one.size) / one.size for one in outcomes]
    return asdict(verdict) | {
        "pushes": len(outcomes),
        "image_bytes": outcomes[0].size,
        "seconds": round(sum(one.seconds for one in outcomes)),
        "cut_connections": sum(one.cuts for one in outcomes),
        "kills": sum(one.kills for one in outcomes),
        "gave_up_and_said_again": sum(one.gave_up for one in outcomes),
        "bytes_sent_beyond_one_full_upload": sum(one.sent - one.size for one in outcomes),
        "uploads_beyond_the_first_mean": round(statistics.mean(beyond), 3),
        "uploads_beyond_the_first_median": round(statistics.median(beyond), 3),
        "uploads_beyond_the_first_maximum": round(max(beyond), 3),
    }


if __name__ == "__main__":
    main()
