"""Reading a container's files: in place where that can be done, else out of two exports. Both give the same layer."""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from assembler.atomic_files import spool
from assembler.changeset.capture import Capture, of_exports, of_overlay, with_links_of_container
from assembler.changeset.overlay_tree import UnreadableOverlay
from assembler.changeset.path_rules import Rules
from assembler.engine.overlay_directories import OverlayDirs
from assembler.errors import EngineError
from assembler.model.node import shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from assembler.engine.session import Session
    from assembler.progress import Progress
    from assembler.recipe.images import Image

_EVIDENCE = tuple(
    f"/usr/src/{above}*/{name}" for above in ("", "kernels/")
    for name in ("Module.symvers", ".config", ".kernelvariables", "include/generated/utsrelease.h")
)  # fmt: skip
"""What tells of a kernel whose modules an image may have, also where it came with the base."""

Way = Literal["auto", "overlay", "export"]


@dataclass(frozen=True, slots=True)
class ContainerReader:
    """``base`` is the engine's image that the container was started from; exports spool to the directory ``spool``."""

    session: Session
    base: str
    images: Sequence[Image]
    spool: Path
    progress: Progress

    @contextmanager
    def capture(self, way: Way) -> Iterator[Capture]:
        """The container's files, as long as the context lives; nothing may write in the container meanwhile."""
        found = capture_in_place(self.session) if way != "export" else "it was asked for"
        if isinstance(found, Capture):
            yield found
            return
        if way == "overlay":
            raise EngineError(
                f"the container's files can't be read in place, because {found}",
                hint="Run as root on the engine's own machine, or leave --capture at auto.",
            )
        self.progress.say(
            f"comparing two exports, because {found}; they show no extended attributes but file capabilities"
        )
        with self._exports() as capture:
            yield capture

    @contextmanager
    def _exports(self) -> Iterator[Capture]:
        kept = [pattern for image in self.images if image.onto != "base" for pattern in image.keep or ("**",)]
        session, warn = self.session, self.progress.warn
        with spool(self.spool) as file:
            capture = of_exports(
                lambda: session.container.export_base(self.base, warn),
                session.exports(),
                session.mounts(),
                file,
                Rules.of_patterns([*kept, *_EVIDENCE]),
            )
            yield with_links_of_container(capture) if session.forgets_links else capture


def capture_in_place(session: Session) -> Capture | str:
    """The capture, or the reason why there can be none."""
    if session.volumes:
        return f"{shown(session.volumes[0])} is a volume of the base's that could not be unmounted"
    found = session.overlay()
    if not isinstance(found, OverlayDirs):
        return found.reason
    try:
        return of_overlay(
            os.fsencode(found.upper),
            [os.fsencode(lower) for lower in found.lowers],
            session.mounts(),
            xattr_prefix="user." if found.userxattr else "trusted.",
            metacopy=found.metacopy,
        )
    except UnreadableOverlay as unreadable:
        return unreadable.message
