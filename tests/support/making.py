"""Layers made from scenes, out of both captures at once, and proved by the reference applier."""

from __future__ import annotations

import io
import os
import tarfile
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from assembler.changeset.capture import Result, changeset, prove_layer
from assembler.changeset.path_rules import Patterns
from tests.support.scene import Goal, Scene, desired, layer_of, scene

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from assembler.changeset.tree import Tree


@dataclass(frozen=True)
class Made:
    """A layer that was made both ways, and what tarfile reads in it."""

    done: Scene
    result: Result
    layer: bytes

    def members(self) -> dict[str, tarfile.TarInfo]:
        with tarfile.open(fileobj=io.BytesIO(self.layer), encoding="utf-8", errors="surrogateescape") as tar:
            return {member.name: member for member in tar}

    def below(self, directory: str) -> dict[str, tarfile.TarInfo]:
        prefix = directory + "/"
        return {name.removeprefix(prefix): member for name, member in self.members().items() if name.startswith(prefix)}

    def content(self, name: str) -> bytes:
        with tarfile.open(fileobj=io.BytesIO(self.layer), encoding="utf-8", errors="surrogateescape") as tar:
            stream = tar.extractfile(name)
            assert stream is not None
            return stream.read()

    def told(self) -> dict[str, str]:
        return {os.fsdecode(finding.path): finding.what for finding in self.result.findings}


def make(done: Scene, onto: Tree | None = None, mounts: Iterable[bytes] = (), clamp: int | None = None) -> Made:
    """The layer, the same out of both captures; on its own base it is proved to make the container's tree."""
    found = changeset(done.overlay(mounts), onto, Patterns(), clamp=clamp)
    layer = layer_of(found.changeset.entries)
    prove_layer(io.BytesIO(layer), done.overlay(mounts), onto, Patterns(), clamp=clamp)
    with done.exports(["**"] if onto else (), mounts) as capture:
        other = changeset(capture, onto, Patterns(), clamp=clamp).changeset
        assert layer_of(other.entries) == layer
    return Made(done, found, layer)


def prove(made: Made) -> Made:
    done, written = made.done, frozenset(entry.path for entry in made.result.changeset.entries)
    goal = Goal(desired(done.base, done.final, lambda path: True), done.base, lambda path: True, written)
    assert goal.missed(done.made_in_place(made.layer)) == []
    assert goal.missed(done.made_isolated(made.layer)) == []
    return made


@contextmanager
def changed(*bases: Callable[[Path], object], container: Callable[[Path], object]) -> Iterator[Made]:
    with scene(*bases, container=container) as done:
        yield prove(make(done))
