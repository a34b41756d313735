"""kill -9 at a random one of the system calls that change something, each time another: is anything torn or left?

A run under strace tells which calls a command makes. Of these one is drawn for each trial, and strace ends the process
when it comes there again, before the call is made. Programs that it starts (the engines' clients) are let go at once.
Then whatever lies there is looked at, the command is said once more, as a person would, and has to work; and in the
end ``imgasm clean`` has to leave nothing.
"""

from __future__ import annotations

import random
import shutil
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from benchmarks.registry import corrupt_blobs, registry, stored_tags

from attacks.scene import Scene, files_below, mounts_below, torn, traces

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable
    from pathlib import Path

_CALLS: Final = (
    "write", "pwrite64", "writev", "fsync", "fdatasync", "rename", "renameat", "renameat2", "unlink", "unlinkat",
    "mkdir", "mkdirat", "rmdir", "link", "linkat", "symlink", "flock", "chmod", "fchmod", "fchmodat", "ftruncate",
    "fallocate", "copy_file_range", "sendto", "sendmsg", "connect", "clone", "clone3", "vfork", "wait4", "utimensat",
)  # fmt: skip
ACTIONS: Final = ("build-docker", "build-podman", "copy", "push", "load")
_STRACE: Final = ["strace", "-f", "-b", "execve", "-qq"]
_BATCH: Final = 10
"""Kills after which the leftovers are cleaned up and counted."""


@dataclass(slots=True)
class Tally:
    """``later``: the command was through before it came to the call again. The rest must stay empty."""

    trials: int = 0
    killed: int = 0
    later: int = 0
    torn: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)

    @property
    def is_good(self) -> bool:
        return not (self.torn or self.failed or self.left)


@dataclass(frozen=True, slots=True)
class Action:
    """``command`` makes ``layout`` or changes what ``check`` looks at; ``prepare`` makes its surroundings fresh."""

    name: str
    command: list[str]
    prepare: Callable[[], object]
    check: Callable[[], list[str]]


COUNT: Final = 1000


def storm(place: Path, wanted: argparse.Namespace, tallies: dict[str, Tally]) -> None:
    """So many kills in all, in turns over the actions; ``tallies`` are right after each."""
    chance, names = random.Random(wanted.seed), wanted.action or ACTIONS
    scene = Scene(place)
    engine = "podman" if "build-podman" in names and "build-docker" not in names else "docker"
    first = scene.run(scene.imgasm("build", "recipe.toml", "--engine", engine, "--output", "image"))
    if first.status:
        sys.exit(f"the build before the first kill ended with {first.status}: {first.told}")
    with registry(place / "registry") as (host, storage):
        storms = [_Storm(scene, _action(scene, name, host, storage)) for name in names]
        tallies |= {storm.action.name: storm.tally for storm in storms}
        left, begin = wanted.count, time.monotonic()
        while left > 0:
            for one in storms:
                one.batch(min(_BATCH, -(-wanted.count // len(names)) - one.tally.trials), chance)
            left = wanted.count - sum(one.tally.trials for one in storms)
            print(f"{wanted.count - left} in {time.monotonic() - begin:.0f} s", file=sys.stderr, flush=True)


def _action(scene: Scene, name: str, host: str, storage: Path) -> Action:
    verb, _, engine = name.partition("-")
    output = scene.place / "out"

    def fresh() -> None:
        shutil.rmtree(output, ignore_errors=True)

    if verb == "build":
        command = ["build", "recipe.toml", "--engine", engine, "--output", "out", "--no-cache", "-q"]
        return Action(name, command, fresh, lambda: torn(output) + _torn_bases(scene))
    if verb == "copy":
        return Action(name, ["copy", "oci:image:chaos", "oci:out:copied", "-q"], fresh, lambda: torn(output))
    if verb == "push":
        def empty() -> None:
            shutil.rmtree(storage, ignore_errors=True)

        command = ["push", "image", f"{host}/chaos:1", "--image", "chaos", "-q"]
        return Action(name, command, empty, lambda: _torn_registry(storage))
    return Action(name, ["load", "image", "--image", "chaos", "--engine", "docker", "-q"], lambda: None, list)


def _torn_bases(scene: Scene) -> list[str]:
    return [fault for base in scene.place.glob("cache/bases/*/") for fault in torn(base)]


def _torn_registry(storage: Path) -> list[str]:
    """A tag must not stand before all that it needs."""
    if not (storage / "docker/registry/v2/repositories/chaos/_manifests/tags").exists():
        return []
    tags = stored_tags(storage, "chaos")
    blobs = {path.parent.name for path in storage.glob("docker/registry/v2/blobs/sha256/*/*/data")}
    return corrupt_blobs(storage) + [f"tag {tag}" for tag, digest in tags.items() if digest[7:] not in blobs]


class _Storm:
    """Kills of one action, and what became of them."""

    def __init__(self, scene: Scene, action: Action) -> None:
        self.scene, self.action, self.tally = scene, action, Tally()
        action.prepare()
        self._calls = _calls(scene, action)
        self._clean = _leftovers(scene)

    def batch(self, count: int, chance: random.Random) -> None:
        for _ in range(count):
            self._kill(*chance.choice(self._calls))
        self.tally.left += _swept(self.scene, self.action, self._clean)

    def _kill(self, call: str, index: int) -> None:
        scene, action, tally = self.scene, self.action, self.tally
        action.prepare()
        kill = ["-o", "/dev/null", "-e", f"trace={call}", "-e", f"inject={call}:signal=KILL:when={index}"]
        done = scene.run([*_STRACE, *kill, *scene.imgasm(*action.command)])
        tally.trials += 1
        tally.killed += done.status in (-9, 137)
        tally.later += done.status == 0
        where = f"{action.name} at {call} {index}"
        if done.status not in (0, -9, 137):
            tally.failed.append(f"{where}: status {done.status}: {done.told[-300:]}")
        tally.torn += [f"{where}: {fault}" for fault in action.check()]
        again = scene.run(scene.imgasm(*action.command))
        if again.status:
            tally.failed.append(f"{where}: said again, status {again.status}: {again.told[-300:]}")
        tally.torn += [f"{where}, said again: {fault}" for fault in action.check()]


def _calls(scene: Scene, action: Action) -> list[tuple[str, int]]:
    """Every call that the command makes, with its number among the calls of that name in its thread."""
    log = scene.place / "calls"
    told = scene.run([*_STRACE, "-o", str(log), "-e", f"trace={','.join(_CALLS)}", *scene.imgasm(*action.command)])
    if told.status:
        sys.exit(f"{action.name} under strace ended with {told.status}: {told.told}")
    counts: Counter[tuple[str, str]] = Counter()
    calls = []
    for line in log.read_text(errors="replace").splitlines():
        thread, _, rest = line.partition(" ")
        name = rest.strip().partition("(")[0]
        if name in _CALLS:
            counts[thread, name] += 1
            calls.append((name, counts[thread, name]))
    return calls


def _leftovers(scene: Scene) -> set[str]:
    """Once something was built and cleaned up: what then is there is there for good."""
    scene.run(scene.imgasm("clean", "--engine", "docker"))
    return set(files_below(scene.place / "cache"))


def _swept(scene: Scene, action: Action, clean: set[str]) -> list[str]:
    """What ``imgasm clean`` leaves: files, containers, volumes, mounts."""
    engine = action.name.partition("-")[2] or "docker"
    for arguments in (["clean", "--engine", engine], ["clean", "out"]):
        if arguments[1] == "out" and not (scene.place / "out").exists():
            continue
        done = scene.run(scene.imgasm(*arguments))
        if done.status:
            return [f"{' '.join(arguments)} ended with {done.status}: {done.told[-300:]}"]
    incoming = [str(path) for path in (scene.place / "out").rglob(".incoming-*")]
    return [*incoming, *traces(engine), *mounts_below(scene.place), *set(files_below(scene.place / "cache")) - clean]
