"""A container engine that answers, and what can be done with it."""

from __future__ import annotations

import os
import warnings
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, BinaryIO

from assembler.engine import container, process
from assembler.engine.images import Images
from assembler.engine.owner import labels
from assembler.engine.pipe import reading
from assembler.engine.session import Session

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from python_on_whales import DockerClient

    from assembler.engine.container import ContainerSpec
    from assembler.engine.info import EngineInfo, Name


class Engine:
    """``info`` is what the engine said when it was reached. Made by :func:`assembler.engine.connect.connect`."""

    def __init__(self, client: DockerClient, info: EngineInfo) -> None:
        self.client = client
        self.info = info
        self.images = Images(self)

    @property
    def name(self) -> Name:
        return self.info.name

    @cached_property
    def disk(self) -> Path | None:
        """The directory where the engine keeps everything, as this machine sees it; None if it can't."""
        if not self.info.local:
            return None
        if self.info.socket is None:
            return self.info.root if self.info.root.is_dir() else None
        return process.seen_by_server(self.info.socket, self.info.root)

    def shares(self, path: Path) -> bool:
        """Can the engine mount this machine's ``path`` into a container?"""
        if self.info.socket is None:
            return self.info.local
        return process.is_shared_with_server(self.info.socket, path)

    def command(self, *arguments: str) -> list[str]:
        """The command line of the engine's own client, for what python-on-whales can't do."""
        return [str(part) for part in self.client.client_config.docker_cmd] + list(arguments)

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

    @contextmanager
    def export_image(
        self, image: str, build: str, warn: Callable[[str], object] = warnings.warn
    ) -> Iterator[BinaryIO]:
        """A tar stream of the whole rootfs of ``image``, out of a container that never ran."""
        name = f"imgasm-{build}-base"
        with container.lifetime(self, name, warn):
            container.create_idle(self, image, name, labels(build))
            with self.export(name) as stream:
                yield stream

    @contextmanager
    def export(self, name: str) -> Iterator[BinaryIO]:
        """A tar stream of a container's rootfs, without what is mounted into it."""
        with reading(self.command("container", "export", name), f"{self.name} could not export {name}") as stream:
            yield stream

    @contextmanager
    def export_directory(self, name: str, path: bytes) -> Iterator[BinaryIO]:
        """A tar stream of one directory in a container, its names relative to it, with what is mounted there."""
        source = f"{name}:{os.fsdecode(path)}/."
        what = f"{self.name} could not read {os.fsdecode(path)} in {name}"
        with reading(self.command("container", "cp", source, "-"), what) as stream:
            yield stream
