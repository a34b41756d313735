"""What a use case meets outside of itself."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from assembler.places.registries import Registries
from assembler.places.world_settings import WorldSettings
from assembler.progress import MaskedProgress, SilentProgress
from assembler.registry.retry import Clock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from assembler.engine.client import Engine
    from assembler.engine.runner import Runner
    from assembler.model.engines import EngineName
    from assembler.model.platform import Platform
    from assembler.progress import Progress
    from assembler.source.fetch import Fetcher


HOST: Final = "host"
"""Where in the cache the engine host keeps bases, containers and caches."""


@dataclass(frozen=True, slots=True)
class World:
    """Registries, engines, cache, clock, and who is told of progress. Made once, and good for any number of calls.

    Nothing is connected to before it is needed. A world can't be pickled; its ``settings`` can, and
    :meth:`from_settings` makes the same again from them, in another process or on another machine.
    """

    settings: WorldSettings
    registries: Registries
    progress: Progress
    clock: Clock

    @classmethod
    def from_environment(cls, environment: Mapping[str, str], progress: Progress | None = None) -> World:
        """The world of a process with the variables ``environment``: ``World.from_environment(os.environ)``.

        ``progress`` is told what goes on; by default nothing is shown.
        """
        return cls.from_settings(WorldSettings(environment), progress)

    @classmethod
    def from_settings(
        cls, settings: WorldSettings, progress: Progress | None = None, clock: Clock | None = None
    ) -> World:
        """``clock`` is by default the system's; another one is for those who test."""
        progress, clock = progress or SilentProgress(), clock or Clock.of_system()
        registries = Registries(settings.credentials, settings.connection(clock), progress.warn)
        return cls(settings, registries, progress, clock)

    @property
    def cache(self) -> Path:
        """A directory for what is fetched or made once, and for blobs that live no longer than a command.

        It is made if need be.
        """
        return self.settings.cache_folder

    @property
    def checkpoints(self) -> Path:
        """A directory for states of containers that builds can start from."""
        return self.cache / "checkpoints"

    @property
    def kept(self) -> Path:
        """A directory for what is known of builds whose containers stay."""
        return self.cache / "kept"

    @property
    def platform(self) -> Platform:
        """This machine's."""
        return self.settings.platform

    def engine(self, name: EngineName | None = None) -> Engine:
        """Connects to the engine called ``name``, else to the one that the settings name, else to the first of docker
        and podman that answers. EngineError when there is none."""
        from assembler.engine.connect import connect

        return connect(*self._wanted(name))

    def runner(self, name: EngineName | None = None) -> Runner:
        """What runs steps: as :meth:`engine`, and this machine itself where it is asked for, or where no engine
        answers."""
        from assembler.engine.connect import runner

        return runner(self.cache / HOST, *self._wanted(name))

    def _wanted(self, name: EngineName | None) -> tuple[EngineName | None, Sequence[str], Mapping[EngineName, str]]:
        wanted = name or self.settings.engine_name()
        return wanted, self.settings.engine_options(wanted) if wanted else (), self.settings.engine_hosts()

    @contextmanager
    def fetcher(self) -> Iterator[Fetcher]:
        """What gets sources into the cache. Its connections live as long as the context."""
        from assembler.source.download import Downloads, Waiting, new_client
        from assembler.source.fetch import Fetcher
        from assembler.source.source_cache import Cache

        with new_client() as client:
            waiting = Waiting(self.clock.sleep, self.clock.monotonic, self.settings.retry_for)
            yield Fetcher(Cache(self.cache / "sources"), Downloads(client, self.progress, waiting))

    def masked(self, mask: Callable[[str], str]) -> World:
        """The same, but every text that is told goes through ``mask`` first."""
        progress = MaskedProgress(self.progress, mask)
        return replace(self, progress=progress, registries=replace(self.registries, warn=progress.warn))
