"""All that a build's result depends on, each part as a digest: two builds can be compared, and nothing can be read."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import zip_longest
from typing import TYPE_CHECKING

from assembler.model.descriptor import canonical_json
from assembler.model.digest import Digest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


@dataclass(frozen=True, slots=True)
class StepInputs:
    """``parts`` are digests by the recipe's keys: ``run``, ``env``, ..."""

    name: str
    parts: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Inputs:
    """``environment`` is what the steps meet, ``images`` what becomes of the files that they leave. The keys of both
    are what people call these things."""

    environment: dict[str, str] = field(default_factory=dict)
    steps: tuple[StepInputs, ...] = ()
    images: dict[str, str] = field(default_factory=dict)

    def key(self, steps: int) -> str:
        """Tells states of a container apart: 64 hex digits for the environment and the first ``steps`` steps."""
        done = [[step.name, step.parts] for step in self.steps[:steps]]
        return Digest.of(canonical_json([self.environment, done])).hex

    def first(self, steps: int) -> Inputs:
        """Of no more than so many steps, and of no images."""
        return Inputs(self.environment, self.steps[:steps])

    def changes(self, former: Inputs) -> Iterator[str]:
        """What is another than in ``former``, as short sentences, in the order of a build."""
        yield from _changes(self.environment, former.environment)
        for now, was in zip_longest(self.steps, former.steps):
            if now is None or was is None:
                yield f"step {was.name} is gone" if now is None else f"step {now.name} is new"
            elif now.name != was.name:
                yield f"step {now.name} stands where {was.name} stood"
            else:
                for change in _changes(now.parts, was.parts):
                    yield change.replace(" ", f" of step {now.name} ", 1)
        yield from _changes(self.images, former.images)


def _changes(now: Mapping[str, str], was: Mapping[str, str]) -> Iterator[str]:
    for key in dict.fromkeys((*now, *was)):
        if key not in was:
            yield f"{key} is new"
        elif key not in now:
            yield f"{key} is gone"
        elif now[key] != was[key]:
            yield f"{key} changed"
