"""``scripts/chaos builds``: builds with checkpoints that are killed with -9 at random moments.

A moment is drawn from the time that the last build of its kind took, which began anew or at a checkpoint. After each
the same build is made again: it must be right to the last byte, whatever the killed one left. In the end ``imgasm
clean`` has to leave nothing: no container, no half-written checkpoint.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

from benchmarks.again import write_base

_IMGASM: Final = [sys.executable, "-m", "assembler"]
_RECIPE: Final = """
name = "killed"
[base]
rootfs = "base.tar"
[container]
network = "none"
scratch = ["/scratch"]
[[step]]
name = "long"
checkpoint = true
run = '''
mkdir -p /opt/made; i=0; while [ $i -lt 300 ]; do echo $i > /opt/made/$i; i=$((i + 1)); done
yes checkpoint | head -c 20000000 > /opt/made/big; yes scratch | head -c 5000000 > /scratch/object; rm /bin/yes
'''
[[step]]
name = "short"
run = "cp /scratch/object /opt/object; rm -r /opt/made/1*"
[[image]]
name = "killed"
"""


@dataclass(slots=True)
class Verdict:
    """``wrong`` and ``left`` must stay empty. ``ended`` before they could be killed. ``writing`` counts the kills that
    came while a checkpoint was being written, ``started`` the builds after a killed one that began at one."""

    killed: int = 0
    ended: int = 0
    started: int = 0
    writing: int = 0
    wrong: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)


def main(arguments: list[str]) -> None:
    wanted = _arguments(arguments)
    chance = random.Random(wanted.seed)
    wanted.work.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="imgasm-kills-", dir=wanted.work) as directory:
        verdict = _Place(Path(directory)).kill(wanted.kills, chance)
    print(json.dumps(asdict(verdict)))
    if wanted.json:
        wanted.json.write_text(json.dumps(asdict(verdict), indent=2) + "\n")
    sys.exit(1 if verdict.wrong or verdict.left else 0)


def _arguments(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/chaos builds", description=__doc__)
    parser.add_argument("--kills", type=int, default=200, metavar="N", help="default: %(default)s")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--work", type=Path, default=Path("/var/tmp"), metavar="DIR")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the verdict there")
    return parser.parse_args(arguments)


class _Place:
    """One directory with a recipe, its base and a cache of its own."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.environment = {**os.environ, "IMGASM_CACHE": str(directory / "cache"), "SOURCE_DATE_EPOCH": "1700000000"}
        self._checkpoints = directory / "cache/checkpoints"
        self._seconds: dict[bool, float] = {}
        """That a build took which began, or did not begin, at a checkpoint."""
        write_base(directory / "base.tar")
        (directory / "killed.toml").write_text(_RECIPE)

    def kill(self, kills: int, chance: random.Random) -> Verdict:
        verdict = Verdict()
        right, _ = self._build("right")
        self._forget()
        while verdict.killed < kills:
            if chance.random() < 0.5:  # else it starts from the checkpoint that is there
                self._forget()
            shutil.rmtree(self.directory / "killed", ignore_errors=True)  # else nothing has changed since it was built
            former, build = self._unfinished(), self._start("killed")
            try:
                build.wait(chance.uniform(0, self._seconds.get(self._has_checkpoint, 2.0)))
                verdict.ended += 1
            except subprocess.TimeoutExpired:
                build.send_signal(signal.SIGKILL)
                build.wait()
                verdict.killed += 1
            verdict.writing += bool(self._unfinished() - former)
            found, told = self._build("next")
            verdict.started += "starting from the checkpoint" in told
            if found != right:
                verdict.wrong.append(f"kill {verdict.killed}: {found} instead of {right}")
            shutil.rmtree(self.directory / "next")
        verdict.left = self._left()
        return verdict

    @property
    def _has_checkpoint(self) -> bool:
        return bool(list(self._checkpoints.glob("*/checkpoint.json")))

    def _unfinished(self) -> set[Path]:
        return set(self._checkpoints.glob("work-*/checkpoint/files.tar.zst"))

    def _forget(self) -> None:
        shutil.rmtree(self._checkpoints, ignore_errors=True)

    def _start(self, output: str) -> subprocess.Popen[str]:
        command = [*_IMGASM, "build", "killed.toml", "--output", output, "--json"]
        return subprocess.Popen(command, cwd=self.directory, env=self.environment, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, text=True)

    def _build(self, output: str) -> tuple[str, str]:
        """The image's digest, or what went wrong; and what was told."""
        begins_there, began = self._has_checkpoint, time.monotonic()
        report, told = self._start(output).communicate()
        self._seconds[begins_there] = time.monotonic() - began
        return (json.loads(report)["images"][0]["manifest"] if report else told), told

    def _left(self) -> list[str]:
        """What is there after ``imgasm clean``: containers of imgasm's, half a checkpoint."""
        subprocess.run([*_IMGASM, "clean"], cwd=self.directory, env=self.environment, check=True, capture_output=True)
        engine = os.environ.get("IMGASM_ENGINE", "docker")
        form = '{{.Names}} {{.Label "io.imgasm.owner"}}'
        command = [engine, "ps", "--all", "--filter", "label=io.imgasm.build", "--format", form]
        lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
        owners = dict(line.split() for line in lines)  # others may build with this engine, too
        containers = [name for name, owner in owners.items() if not Path("/proc", owner.split("/")[2]).exists()]
        half = [path.name for path in self._checkpoints.iterdir() if len(path.name) != 64]
        return [*containers, *half]


if __name__ == "__main__":
    main(sys.argv[1:])
