"""What runs the steps of a recipe: Docker, podman, or this machine by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from pathlib import Path

    from assembler.engine.container import ContainerSpec
    from assembler.engine.host.unpacked_bases import UnpackedBases
    from assembler.engine.images import Images
    from assembler.engine.info import EngineInfo
    from assembler.engine.leftovers import Cleaning
    from assembler.engine.running import Running
    from assembler.engine.session import Aside, Session
    from assembler.model.engines import EngineName


class Runner(Protocol):
    """Made by :func:`assembler.engine.connect.runner`."""

    info: EngineInfo

    @property
    def name(self) -> EngineName: ...

    @property
    def images(self) -> Images | UnpackedBases:
        """Where a container's base comes from: an image store of the engine's own, or layers that are unpacked."""

    @property
    def disk(self) -> Path | None:
        """The directory where the engine keeps everything, as this machine sees it; None if it can't."""

    def session(
        self, spec: ContainerSpec, *, warn: Callable[[str], object]
    ) -> AbstractContextManager[Session]:
        """ONE running container as long as the context lives, if :meth:`Running.keep` does not let it stay.

        ``warn`` is told what went wrong when all was done, with the container's removal above all.
        """

    def session_again(
        self, spec: ContainerSpec, former: Aside, *, warn: Callable[[str], object]
    ) -> AbstractContextManager[Session]:
        """The container that a session of the same ``spec`` kept: it stays, unless :meth:`Running.let_go` is called.

        ``former`` is what :attr:`Session.aside` was then.
        """

    def woken(self, name: str) -> AbstractContextManager[Running]:
        """A kept container, running again."""

    def remove_leftovers(self, kept_goes: Callable[[str], bool], *, every: bool = False) -> Cleaning:
        """Removes what builds left whose process is gone.

        ``every`` also takes what belongs to an owner that can't be judged from here: another machine's, another
        container's. What surely belongs to a living build is never touched. What a build kept stays, unless
        ``kept_goes`` says of that build that it may go.
        """
