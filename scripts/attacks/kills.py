"""kill -9 at a random one of the system calls that change something, each time another: is anything torn or left?

A run under strace tells which calls a command makes. Of these one is drawn for each trial, and strace ends the process
when it comes there again, before the call is made. Programs that it starts (the engines' clients) are let go at once.
Kills come in series: each but the first hits a command that goes on with what the one before left. Then the command is
said once more, as a person would, and has to make what it makes undisturbed; after some series ``imgasm clean`` has to
leave nothing. What lies there is looked at after every kill.
"""

from __future__ import annotations

import random
import sys
import threading
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from benchmarks.registry import registry

from attacks.actions import ACTIONS, action
from attacks.scene import Scene, files_below, mounts_below, traces

if TYPE_CHECKING:
    import argparse
    from pathlib import Path

    from attacks.actions import Action
    from attacks.scene import Done

COUNT: Final = 1000
_CALLS: Final = (
    "write", "pwrite64", "writev", "fsync", "fdatasync", "rename", "renameat", "renameat2", "unlink", "unlinkat",
    "mkdir", "mkdirat", "rmdir", "link", "linkat", "symlink", "flock", "chmod", "fchmod", "fchmodat", "ftruncate",
    "fallocate", "copy_file_range", "sendto", "sendmsg", "connect", "clone", "clone3", "vfork", "wait4", "utimensat",
)  # fmt: skip
_STRACE: Final = ["strace", "-f", "-b", "execve", "-qq"]
_SERIES: Final = 4
"""Kills before the command is said once more and has to end well."""
_BATCH: Final = 4 * _SERIES
"""Kills after which the leftovers are cleaned up and counted."""
_KILLED: Final = (-9, 137)


@dataclass(slots=True)
class Tally:
    """``later``: the command was through before it came to the call again. ``again`` counts the commands that had to
    end well after kills. The lists must stay empty."""

    trials: int = 0
    killed: int = 0
    later: int = 0
    again: int = 0
    torn: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)

    @property
    def is_good(self) -> bool:
        return not (self.torn or self.failed or self.left)


def storm(place: Path, wanted: argparse.Namespace, tallies: dict[str, Tally]) -> None:
    """So many kills in all, each action's as many; ``tallies`` are right after each.

    Actions of different engines go on at once. Those of one engine take turns: what one has there while it runs would
    be a leftover of the other's.
    """
    names, groups, over = wanted.action or ACTIONS, defaultdict[str, list[_Storm]](list), threading.Event()
    most = -(-wanted.count // len(names))
    with registry(place / "registry") as (host, storage):
        for name in names:
            (place / name).mkdir()
            one = _Storm(action(Scene(place / name), name, host, storage), random.Random(f"{wanted.seed} {name}"))
            groups[one.action.engine].append(one)
            tallies[name] = one.tally
        timer = threading.Timer(60 * wanted.minutes, over.set) if wanted.minutes is not None else None
        if timer is not None:
            timer.start()
        with ThreadPoolExecutor(len(groups)) as pool:
            running = [pool.submit(_take_turns, storms, most, over) for storms in groups.values()]
            try:
                for each in running:
                    each.result()
            finally:
                over.set()
                if timer is not None:
                    timer.cancel()


def _take_turns(storms: list[_Storm], most: int, over: threading.Event) -> None:
    while not over.is_set() and (left := [one for one in storms if one.tally.trials < most]):
        one = min(left, key=lambda one: one.tally.trials)
        one.batch(min(_BATCH, most - one.tally.trials))
        print(f"{one.action.name}: {one.tally.trials}", file=sys.stderr, flush=True)


class _Storm:
    """Kills of one action, and what became of them."""

    def __init__(self, action: Action, chance: random.Random) -> None:
        self.action, self.tally, self._chance = action, Tally(), chance
        action.prepare()
        action.run()  # so that what is compiled or made once for good is there: those calls never come again
        action.prepare()
        self._calls = self._trace()
        self._made = action.made()
        self._sweep()
        self._clean = self._files()  # what is there for good

    def batch(self, count: int) -> None:
        while count:
            count -= self._series(min(_SERIES, count))
        self.tally.left += self._sweep() or self._found()

    def _series(self, most: int) -> int:
        """How many kills were tried, one after another, before the command had to end well."""
        action, tally = self.action, self.tally
        action.prepare()
        tried, moments = 0, ""
        while tried < most:
            tried += 1
            call, index = self._chance.choice(self._calls)
            moments += f", {call} {index}"
            done = self._kill(call, index)
            tally.trials += 1
            tally.killed += done.status in _KILLED
            tally.torn += [f"{action.name} at{moments[1:]}: {fault}" for fault in action.check()]
            if done.status not in _KILLED:
                tally.later += self._has_ended(done, moments)
                return tried
        self._has_ended(action.run(), f"{moments}, said again")
        tally.again += 1
        tally.torn += [f"{action.name} at{moments[1:]}, said again: {fault}" for fault in action.check()]
        return tried

    def _has_ended(self, done: Done, moments: str) -> bool:
        """Whether that is how the command should end; else it is noted."""
        action, made = self.action, self.action.made()
        well = done.status == 0 or (action.is_once and done.status in (2, 5))
        if well and made == self._made:
            return True
        what = f"status {done.status}: {done.told[-300:]}" if not well else f"made {made} instead of {self._made}"
        self.tally.failed.append(f"{action.name} at{moments[1:]}: {what}")
        return False

    def _kill(self, call: str, index: int) -> Done:
        kill = ["-o", "/dev/null", "-e", f"trace={call}", "-e", f"inject={call}:signal=KILL:when={index}"]
        return self.action.run(*_STRACE, *kill)

    def _trace(self) -> list[tuple[str, int]]:
        """Every call that the command makes, with its number among the calls of that name in its thread."""
        log = self.action.scene.place / "calls"
        done = self.action.run(*_STRACE, "-o", str(log), "-e", f"trace={','.join(_CALLS)}")
        if done.status:
            sys.exit(f"{self.action.name} under strace ended with {done.status}: {done.told}")
        counts: Counter[tuple[str, str]] = Counter()
        calls = []
        for line in log.read_text(errors="replace").splitlines():
            thread, _, rest = line.partition(" ")
            name = rest.strip().partition("(")[0]
            if name in _CALLS:
                counts[thread, name] += 1
                calls.append((name, counts[thread, name]))
        return calls

    def _sweep(self) -> list[str]:
        """``imgasm clean``, as a person says it, or why it failed."""
        scene = self.action.scene
        kept = ["--kept"] if self.action.is_once else []
        engine = ["--engine", self.action.engine] if self.action.engine else []
        for arguments in (["clean", *engine, *kept], ["clean", "out"]):
            if arguments == ["clean", "out"] and not (scene.place / "out").exists():
                continue
            done = scene.run(scene.imgasm(*arguments))
            if done.status:
                return [f"{' '.join(arguments)} ended with {done.status}: {done.told[-300:]}"]
        return []

    def _found(self) -> list[str]:
        """Files, containers, volumes, mounts that are there nevertheless."""
        place = self.action.scene.place
        incoming = [str(path) for path in (place / "out").rglob(".incoming-*")]
        there = traces(self.action.engine) if self.action.engine else []
        return [*incoming, *there, *mounts_below(place), *sorted(self._files() - self._clean)]

    def _files(self) -> set[str]:
        return set(files_below(self.action.scene.place / "cache"))
