"""A container engine, with its images and with the one container of a build."""

from __future__ import annotations

import warnings
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from assembler.engine import container
from assembler.engine.endpoint import Endpoint
from assembler.engine.images import Images
from assembler.engine.session import Session

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from python_on_whales import DockerClient

    from assembler.engine.container import ContainerSpec
    from assembler.engine.info import EngineInfo


class Engine(Endpoint):
    """Made by :func:`assembler.engine.connect.connect`."""

    def __init__(self, client: DockerClient, info: EngineInfo) -> None:
        super().__init__(client, info)
        self.images = Images(self)

    @contextmanager
    def session(
        self, spec: ContainerSpec, *, warn: Callable[[str], object] = warnings.warn, keep: bool = False
    ) -> Iterator[Session]:
        """ONE running container as long as the context lives; with ``keep`` it stays, running, for a look inside.

        ``warn`` is told what went wrong when all was done, with the container's removal above all.
        """
        shared = tuple(bind for bind in spec.binds if self.shares(bind.host))
        with container.lifetime(self, spec.name, warn, keep=keep):
            container.create(self, replace(spec, binds=shared))
            container.start(self, spec.name)
            session = Session(self, spec, warn)
            session.prepare([bind for bind in spec.binds if bind not in shared])
            yield session
