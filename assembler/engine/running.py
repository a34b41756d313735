"""What a session needs of a container that runs, whoever runs it: an engine's client, or this machine itself."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, BinaryIO, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path, PurePosixPath

    from assembler.engine.info import EngineInfo
    from assembler.engine.overlay_directories import NotReadableInPlace, OverlayDirs


@dataclass(frozen=True, slots=True)
class Exec:
    """How a command runs in a container. ``user`` None is root, ``workdir`` None is ``/``.

    ``env_file`` names a file with more variables, NAME=VALUE in each line. ``reads``: it gets standard input.
    ``terminal``: that is a terminal.
    """

    env: Mapping[str, str] = field(default_factory=dict)
    workdir: PurePosixPath | None = None
    user: str | None = None
    env_file: str | None = None
    reads: bool = False
    terminal: bool = False


PLAIN: Final = Exec()
READING: Final = Exec(reads=True)
AS_ROOT: Final = Exec(user="0", reads=True)


@dataclass(frozen=True, slots=True)
class Volume:
    """A directory that is mounted at ``path`` and outlives nothing but the container, or is a cache.

    ``name`` is a part of the path that mountinfo tells of it; ``host`` is the directory as this machine sees it, None
    where it does not.
    """

    path: str
    name: str
    host: Path | None


class Running(Protocol):
    """One container. Each method raises EngineError for what can't be done."""

    @property
    def name(self) -> str:
        """For people, and to wake it again if it is kept."""

    @property
    def info(self) -> EngineInfo:
        """Of the engine that runs it."""

    @property
    def disk(self) -> Path | None:
        """The directory where that engine keeps everything, as this machine sees it; None if it can't."""

    @property
    def client(self) -> str | None:
        """The program whose ``exec`` lets people in, too."""

    @property
    def pid(self) -> int | None:
        """Process 1 as this machine numbers it; None if it runs elsewhere."""

    def exec(self, words: Sequence[str], how: Exec = PLAIN) -> list[str]:
        """A command line of this machine that runs ``words`` in the container, and ends as they end."""

    def volumes(self) -> list[Volume]: ...

    def overlay(self) -> OverlayDirs | NotReadableInPlace:
        """The directories that the rootfs consists of, or why they can't be read here."""

    def upper(self) -> Path | None:
        """The writable layer, for those who count bytes: its owners and marks may be others than in the container.
        None where it is not told, or not seen from here."""

    def freeze(self) -> None:
        """Nothing in it runs until :meth:`thaw`."""

    def thaw(self) -> None: ...

    def trouble(self) -> str | None:
        """What became of the container that explains why a command failed in it. EngineError where nobody knows the
        container any more."""

    def export_base(self, image: str, warn: Callable[[str], object]) -> AbstractContextManager[BinaryIO]:
        """A tar stream of the whole rootfs of ``image``, which the container was started from."""

    def export(self) -> AbstractContextManager[BinaryIO]:
        """A tar stream of the whole rootfs, without what is mounted into it."""

    def export_directory(self, path: bytes) -> AbstractContextManager[BinaryIO]:
        """A tar stream of one directory, its names relative to it, with what is mounted there."""

    def size_rw(self) -> int | None:
        """Bytes in the writable layer as the engine counts them; None where it does not."""

    def keep(self) -> None:
        """Lets the container and its volumes stay when its session ends; its :attr:`name` is another one then."""

    def let_go(self) -> None:
        """Lets the container go with its session, although it was kept."""
