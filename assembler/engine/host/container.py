"""A container that this machine runs by itself: an overlay over an unpacked base, in namespaces of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

from assembler.engine import init_process
from assembler.engine.client_process import reading
from assembler.engine.container import kept_name
from assembler.engine.host import namespaces
from assembler.engine.host.plan import Entry, Plan, escaped
from assembler.engine.overlay_directories import NotReadableInPlace, OverlayDirs
from assembler.engine.running import PLAIN, Exec, Volume
from assembler.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager

    from assembler.engine.info import EngineInfo

_ON_OVERLAY: Final = 'mount -t overlay overlay -o "$0" "$1" && shift && exec "$@"'


class HostContainer:
    """``folder`` is where all of it lies; ``pid`` is its process 1."""

    def __init__(self, folder: Path, plan: Plan, info: EngineInfo, pid: int) -> None:
        self.folder = folder
        self.info = info
        self.client = None
        self.pid: int | None = pid
        self.stays = False
        self._plan = plan
        self._pid = pid

    @property
    def name(self) -> str:
        return self.folder.name if self.folder.name == kept_name(self._plan.build) else f"imgasm-{self._plan.build}"

    @property
    def disk(self) -> Path:
        return self.info.root

    def exec(self, words: Sequence[str], how: Exec = PLAIN) -> list[str]:
        plan, env = self._plan, {**self._plan.env, **how.env}
        entry = Entry(
            self._pid, tuple(words), plan.capabilities, plan.own_network, env, how.env_file, how.user or "0",
            workdir=str(how.workdir or "/"), terminal=how.terminal,
        )  # fmt: skip
        return namespaces.program("enter", entry.to_json())

    def volumes(self) -> list[Volume]:
        return [Volume(volume.path, Path(volume.host).name, self.folder / volume.host) for volume in self._plan.volumes]

    def overlay(self) -> OverlayDirs | NotReadableInPlace:
        if init_process.shifts_owners(self._pid):
            return NotReadableInPlace("it runs in a user namespace, where files have other owners than here")
        return OverlayDirs(self.upper(), (Path(self._plan.lower),))

    def upper(self) -> Path:
        return self.folder / self._plan.upper

    def freeze(self) -> None:
        raise EngineError("host has no freezer")

    def thaw(self) -> None:
        raise EngineError("host has no freezer")

    def trouble(self) -> str | None:
        is_there = init_process.is_init_of(self._pid, self._plan.build)
        return None if is_there else "the container itself has stopped"

    def export_base(self, image: str, warn: Callable[[str], object]) -> AbstractContextManager[BinaryIO]:
        return tar_of(Path(self._plan.lower))

    def export(self) -> AbstractContextManager[BinaryIO]:
        """Of an overlay of the same directories, on which nothing else is mounted."""
        return tar_of(self.folder / self._plan.root, [self.upper(), Path(self._plan.lower)])

    def export_directory(self, path: bytes) -> AbstractContextManager[BinaryIO]:
        return tar_of(Path(f"/proc/{self._pid}/root{os.fsdecode(path)}"))

    def size_rw(self) -> int | None:
        return None

    def keep(self) -> None:
        kept = self.folder.with_name(kept_name(self._plan.build))
        if self.folder != kept:
            self.folder.rename(kept)
        self.folder, self.stays = kept, True

    def let_go(self) -> None:
        self.stays = False


@contextmanager
def started(folder: Path, plan: Plan, info: EngineInfo, *, stays: bool = False) -> Iterator[HostContainer]:
    """All that runs in it is killed at the end, and what was mounted is gone with it. Its files are gone, too, if it
    does not stay."""
    (folder / plan.root).mkdir(exist_ok=True)
    with tempfile.TemporaryFile() as stderr:
        process = subprocess.Popen(
            [*namespaces.contained(own_network=plan.own_network), *namespaces.program("enclose", plan.to_json())],
            cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=stderr, start_new_session=True,
        )  # fmt: skip
        try:
            pid = _number_of(process, plan.build)
        except BaseException:
            process.kill()
            raise
        if pid is None:
            stderr.seek(0)
            raise _refusal(stderr.read().decode(errors="replace").strip())
    container = HostContainer(folder, plan, info, pid)
    container.stays = stays
    try:
        yield container
    finally:
        _end(process, pid)
        if not container.stays:
            namespaces.remove(container.folder)


def _number_of(process: subprocess.Popen[bytes], build: str) -> int | None:
    """That of process 1, as soon as it is what it should be; None if it came to an end instead."""
    assert process.stdout is not None
    with process.stdout as stdout:
        told = stdout.readline()
    while told and process.poll() is None:
        if init_process.is_init_of(int(told), build):
            return int(told)
        time.sleep(0.001)  # until the shell has taken its place
    process.wait()
    return None


def tar_of(directory: Path, lowers: Sequence[Path] = ()) -> AbstractContextManager[BinaryIO]:
    """A tar stream of ``directory``, or of an overlay of ``lowers``, the topmost first, that is mounted on it."""
    options = f"lowerdir={':'.join(escaped(str(lower)) for lower in lowers)}"
    options += ",userxattr" if os.geteuid() else ""
    mounted = ["unshare", "--mount", "sh", "-c", _ON_OVERLAY, options, str(directory)] if lowers else []
    command = [*namespaces.as_root(), *mounted, "tar", "--create", "--format=posix", "--numeric-owner", "--xattrs",
               "--xattrs-include=*", "--directory", str(directory), "."]  # fmt: skip
    return reading(command, f"could not read {directory}")


def _end(process: subprocess.Popen[bytes], init: int) -> None:
    """The kernel kills all that runs in a process namespace with its first process, and its parent waits for that."""
    if process.poll() is None:
        os.kill(init, signal.SIGKILL)
    process.wait()


def _refusal(told: str) -> EngineError:
    hint = None
    if told.startswith("/bin/sh"):
        hint = "The base image needs a /bin/sh, which keeps the container running."
    elif "Invalid argument" in told:
        hint = ("The cache is on a file system that no overlay can write to, another overlay for example: choose a "
                "directory on a disk with IMGASM_CACHE.")  # fmt: skip
    return EngineError(f"host could not start the container: {told or 'it gave no reason'}", hint=hint)
