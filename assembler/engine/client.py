"""Docker or podman, with its images and with the one container of a build."""

from __future__ import annotations

import warnings
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from assembler.engine import container, leftovers
from assembler.engine.client_container import ClientContainer
from assembler.engine.endpoint import Endpoint
from assembler.engine.images import Images
from assembler.engine.session import Aside, Session

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from assembler.engine.container import ContainerSpec
    from assembler.engine.info import EngineInfo


class Engine(Endpoint):
    """Made by :func:`assembler.engine.connect.connect`."""

    def __init__(self, call: Sequence[str], info: EngineInfo) -> None:
        super().__init__(call, info)
        self.images = Images(self)

    @contextmanager
    def session(self, spec: ContainerSpec, *, warn: Callable[[str], object] = warnings.warn) -> Iterator[Session]:
        shared = tuple(bind for bind in spec.binds if self.shares(bind.host))
        with container.lifetime(self, spec.name, warn) as life:
            container.create(self, replace(spec, binds=shared), self.images.config(spec.image)["config"].get("User"))
            container.start(self, spec.name)
            session = Session(ClientContainer(self, life, spec.build), spec, warn)
            session.prepare([bind for bind in spec.binds if bind not in shared])
            yield session

    @contextmanager
    def session_again(
        self, spec: ContainerSpec, former: Aside, *, warn: Callable[[str], object] = warnings.warn
    ) -> Iterator[Session]:
        name = container.kept_name(spec.build)
        container.wake(self, name)
        with container.lifetime(self, name, warn, stays=True) as life:
            session = Session(ClientContainer(self, life, spec.build), spec, warn)
            session.prepare((), former)
            yield session

    @contextmanager
    def woken(self, name: str) -> Iterator[ClientContainer]:
        container.wake(self, name)
        life = container.Lifetime(name, stays=True)
        yield ClientContainer(self, life, name.removeprefix(container.KEPT))

    def remove_leftovers(self, kept_goes: Callable[[str], bool], *, every: bool = False) -> leftovers.Cleaning:
        return leftovers.remove_leftovers(self, kept_goes, every=every)
