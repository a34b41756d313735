"""``imgasm cache``: the checkpoints that builds can start from, and why one does not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from assembler.commands.bases import Bases, Policy
from assembler.commands.checkpoint_store import CheckpointStore, Limits, Stored
from assembler.commands.checkpoints import mismatch
from assembler.commands.inputs import Surroundings
from assembler.commands.job import BuildOptions, Job
from assembler.commands.timestamps import with_timestamps
from assembler.commands.unchanged import known_sources
from assembler.errors import masked
from assembler.image.layout_cache import LayoutCache
from assembler.model.size import human
from assembler.model.timestamp import ago

if TYPE_CHECKING:
    from pathlib import Path

    from assembler.model.engines import EngineName
    from assembler.places.world import World
    from assembler.recipe.recipe import Recipe


@dataclass(frozen=True, slots=True)
class Listed:
    """A checkpoint; ``age`` and ``unused`` in seconds. ``why`` a recipe that was asked about can't start from it."""

    stored: Stored
    age: float
    unused: float
    why: str | None = None

    def line(self) -> str:
        checkpoint = self.stored.checkpoint
        why = f": {self.why}" if self.why else ""
        return (f"{checkpoint.key[:12]}  {checkpoint.recipe} after step {checkpoint.step}, {human(self.stored.size)}, "
                f"{ago(self.age)} old, used {ago(self.unused)} ago{why}")  # fmt: skip

    def to_json(self) -> dict[str, Any]:
        """Sizes in bytes, times in seconds."""
        checkpoint = self.stored.checkpoint
        return {"key": checkpoint.key, "recipe": checkpoint.recipe, "step": checkpoint.step, "size": self.stored.size,
                "age": self.age, "unused": self.unused, "why": self.why}  # fmt: skip


def checkpoints(world: World) -> list[Listed]:
    """All that there are, the one that was used last first."""
    return [_listed(stored, world) for stored in CheckpointStore(world.checkpoints).all()]


def prune(world: World, limits: Limits) -> list[Listed]:
    """Those that were removed, because they were over the limits."""
    return [_listed(stored, world) for stored in CheckpointStore(world.checkpoints).prune(limits, world.clock.wall())]


def explain(recipe: Recipe, output: Path, world: World, engine: EngineName | None) -> list[Listed]:
    """The checkpoints of ``recipe``, with what keeps a build of it, as it is now, from starting there."""
    with masked(recipe.secrets.mask):
        recipe = with_timestamps(recipe, world.settings.source_date_epoch(), None, world.clock.wall())
        job = Job(recipe, world.runner(engine), output, world, BuildOptions(engine=engine))
        with LayoutCache(world.cache / "bases", world.progress) as cache:
            bases = Bases(job.engine, world, job.target(), cache, Policy())
            now = Surroundings(recipe, bases, job.options.way).inputs(known_sources(job))
    unknown = "what its base is can't be known before it is pulled"
    found = [stored for stored in CheckpointStore(world.checkpoints).all() if stored.checkpoint.recipe == recipe.name]
    return [_listed(one, world, mismatch(now, one.checkpoint) if now else unknown) for one in found]


def _listed(stored: Stored, world: World, why: str | None = None) -> Listed:
    now = world.clock.wall()
    return Listed(stored, now - stored.checkpoint.made, now - stored.used, why)
