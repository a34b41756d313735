"""One build: the recipe, what is wanted of it, and where it all happens."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from secrets import token_hex
from typing import TYPE_CHECKING, Literal

from assembler.commands.kept_builds import Given
from assembler.commands.target_platform import TargetPlatform

if TYPE_CHECKING:
    from pathlib import Path

    from assembler.commands.capture_container import Way
    from assembler.engine.runner import Runner
    from assembler.model.engines import EngineName
    from assembler.model.place import Place
    from assembler.model.platform import Platform
    from assembler.places.world import World
    from assembler.recipe.recipe import Recipe


def new_build_id() -> str:
    """Tells a build's container from all others."""
    return token_hex(6)


@dataclass(frozen=True, slots=True)
class BuildOptions:
    """How a recipe is built.

    ``engine``          ``docker``, ``podman`` or ``host``; by default the world's
    ``platform``        what a build without steps is for; a base for another one is refused
    ``cache``           lets what former builds have made stand, where nothing changed that it came from
    ``way``             how the container's files are read: in place (``overlay``), out of two exports (``export``), or
                        in place where that can be (``auto``)
    ``created``         dates the images, and wins over the recipe: RFC 3339, ``source_date_epoch`` or ``now``
    ``refresh``         gets the base again although the engine or the cache has it
    ``inspect_base``    reads the layers of bases that are in a registry, to leave out what they have
    ``prove``           proves each layer while the container is still there
    ``may_refuse``      builds images although a kernel would refuse their modules
    ``keep_container``  leaves the container in the engine in any case, to be entered and gone on with
    ``on_failure``      what becomes of the container of a build that fails
    ``cache_from``      layouts and repositories where checkpoints of other machines are, in this order
    ``cache_to``        one that gets the checkpoints which the build makes or starts from
    ``build``           names this build towards the engine, which must not know another one of that name
    ``given``           where the values of the recipe's variables come from, for those who go on with the build
    """

    engine: EngineName | None = None
    platform: Platform | None = None
    cache: bool = True
    way: Way = "auto"
    created: str | None = None
    refresh: bool = False
    inspect_base: bool = False
    prove: bool = False
    may_refuse: bool = False
    keep_container: bool = False
    on_failure: Literal["keep", "remove"] = "remove"
    cache_from: tuple[Place, ...] = ()
    cache_to: Place | None = None
    build: str = field(default_factory=new_build_id)
    given: Given = field(default_factory=Given)

    @property
    def uses_checkpoints(self) -> bool:
        return self.cache and not self.refresh

    @property
    def may_stand(self) -> bool:
        """Whether a former build can be what is asked for: not where something is wanted of the container itself."""
        return self.cache and not (self.refresh or self.prove or self.keep_container)


@dataclass(frozen=True, slots=True)
class Job:
    """One build. ``engine`` is None for a recipe that :func:`needs_engine` none."""

    recipe: Recipe
    engine: Runner | None
    output: Path
    world: World
    options: BuildOptions

    def hiding(self, recipe: Recipe) -> Job:
        """The same with ``recipe``, which is this one and has more to hide."""
        return replace(self, recipe=recipe, world=self.world.masked(recipe.secrets.mask))

    def target(self) -> TargetPlatform:
        here = self.world.platform
        return TargetPlatform(here, self.engine.info.platform if self.engine else here, self.options.platform)
