"""A container engine that answered, and how its own client is called."""

from __future__ import annotations

import os
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, BinaryIO

from assembler.engine import init_process
from assembler.engine.client_process import reading

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from python_on_whales import DockerClient

    from assembler.engine.info import EngineInfo
    from assembler.model.engines import EngineName


class Endpoint:
    """``call`` begins each command line of its client: the program and its own options. ``info`` is what the engine
    said when it was reached."""

    def __init__(self, call: Sequence[str], info: EngineInfo) -> None:
        self._call = tuple(call)
        self.info = info

    @cached_property
    def client(self) -> DockerClient:
        """Imported here: it takes longer than all that a build does for which there is nothing to do."""
        from python_on_whales import DockerClient

        return DockerClient(client_call=list(self._call))

    @property
    def name(self) -> EngineName:
        return self.info.name

    @cached_property
    def disk(self) -> Path | None:
        """The directory where the engine keeps everything, as this machine sees it; None if it can't."""
        if not self.info.local:
            return None
        if self.info.socket is None:
            return self.info.root if self.info.root.is_dir() else None
        return init_process.seen_by_server(self.info.socket, self.info.root)

    def shares(self, path: Path) -> bool:
        """Can the engine mount this machine's ``path`` into a container?"""
        if self.info.socket is None:
            return self.info.local
        return init_process.is_shared_with_server(self.info.socket, path)

    def command(self, *arguments: str) -> list[str]:
        """The command line of the engine's own client, for what python-on-whales can't do."""
        return [*self._call, *arguments]

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
