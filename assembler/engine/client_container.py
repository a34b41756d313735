"""A container of Docker's or podman's, through the engine's own client."""

from __future__ import annotations

import os
import time
from functools import cached_property
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from assembler.engine import container, init_process
from assembler.engine.client_process import ask
from assembler.engine.inspection import inspect
from assembler.engine.overlay_directories import NotReadableInPlace, OverlayDirs, locate
from assembler.engine.running import PLAIN, Exec, Volume

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from assembler.engine.endpoint import Endpoint
    from assembler.engine.info import EngineInfo
    from assembler.engine.inspection import Inspected

_STARTING: Final = 50
"""Looks at process 1 before it is taken for another machine's: a second."""


class ClientContainer:
    """``build`` is the build that the container was made for."""

    def __init__(self, engine: Endpoint, life: container.Lifetime, build: str) -> None:
        self._engine = engine
        self._life = life
        self._build = build

    @property
    def name(self) -> str:
        """``docker exec -it NAME sh``"""
        return self._life.name

    @property
    def info(self) -> EngineInfo:
        return self._engine.info

    @property
    def disk(self) -> Path | None:
        return self._engine.disk

    @property
    def client(self) -> str:
        return self._engine.name

    @cached_property
    def pid(self) -> int | None:
        if not self._engine.info.local:
            return None
        pid = self._inspected.state.pid
        for _ in range(_STARTING):
            if pid and init_process.is_init_of(pid, self._build):
                return pid
            time.sleep(0.02)  # for a moment after the start it is still the runtime
        return None

    def exec(self, words: Sequence[str], how: Exec = PLAIN) -> list[str]:
        return [*self._engine.command("container", "exec", *_options(how), self.name), *words]

    def volumes(self) -> list[Volume]:
        root = self._root
        mounts = (mount for mount in self._inspected.mounts if mount.type == "volume")
        return [Volume(mount.destination, mount.name or "", _seen(root, mount.source)) for mount in mounts]

    def overlay(self) -> OverlayDirs | NotReadableInPlace:
        if self.pid is None:
            return NotReadableInPlace("the engine's processes are not this machine's")
        root = self._engine.info.root
        return locate(self.pid, [root / "overlay2", root / "overlay"], self._graph())

    def upper(self) -> Path | None:
        """Docker's vfs and containerd's store say nothing."""
        upper = self._graph().get("UpperDir")
        return _seen(self._root, upper) if isinstance(upper, str) else None

    def freeze(self) -> None:
        ask(self._engine.command("container", "pause", self.name), "could not pause")

    def thaw(self) -> None:
        what = f"{self._engine.name} could not let the container go on"
        ask(self._engine.command("container", "unpause", self.name), what)

    def trouble(self) -> str | None:
        state = inspect(self._engine, self.name).state
        if state.oom_killed:
            return "the kernel ran out of memory for the container"
        return None if state.running else f"the container itself has stopped with status {state.exit_code}"

    def export_base(self, image: str, warn: Callable[[str], object]) -> AbstractContextManager[BinaryIO]:
        return container.export_image(self._engine, image, self._build, warn)

    def export(self) -> AbstractContextManager[BinaryIO]:
        return self._engine.export(self.name)

    def export_directory(self, path: bytes) -> AbstractContextManager[BinaryIO]:
        return self._engine.export_directory(self.name, path)

    def size_rw(self) -> int | None:
        """Slow, but it works with remote engines."""
        what = f"{self._engine.name} could not measure the container"
        command = self._engine.command("container", "inspect", "--size", "--format", "{{.SizeRw}}", self.name)
        answer = ask(command, what).strip()
        return int(answer) if answer.isdecimal() else None

    def keep(self) -> None:
        container.keep(self._engine, self._life, self._build)

    def let_go(self) -> None:
        self._life.stays = False

    @property
    def _root(self) -> Path | None:
        return None if self.pid is None else init_process.engine_root(self.pid)

    @cached_property
    def _inspected(self) -> Inspected:
        """What does not change as long as the container runs."""
        return inspect(self._engine, self.name)

    def _graph(self) -> dict[str, Any]:
        """What the storage driver says."""
        graph = self._inspected.graph
        return (graph.data if graph else None) or {}


def _options(how: Exec) -> Iterator[str]:
    """``exec``'s, the same for docker and podman."""
    for key, value in how.env.items():
        yield from ("--env", f"{key}={value}")
    if how.reads or how.terminal:
        yield "--interactive"
    if how.terminal:
        yield "--tty"
    if how.env_file is not None:
        yield from ("--env-file", how.env_file)
    if how.workdir is not None:
        yield from ("--workdir", str(how.workdir))
    if how.user is not None:
        yield from ("--user", how.user)


def _seen(root: Path | None, source: str | None) -> Path | None:
    """None for what is another user's."""
    directory = root / source.lstrip("/") if root is not None and source is not None else None
    return directory if directory is not None and os.access(directory, os.R_OK | os.X_OK) else None
