"""What a use case meets outside of itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from assembler.engine.client import Engine
    from assembler.model.place import EngineName
    from assembler.model.platform import Platform
    from assembler.places.registries import Registries
    from assembler.progress import Progress


@dataclass(frozen=True, slots=True)
class World:
    """Made once, by the command line or by whoever else runs a use case.

    ``engine`` connects to one by its name. ``scratch`` is a directory for blobs that live no longer than a command, and
    is made if need be. ``platform`` is this machine's.
    """

    registries: Registries
    engine: Callable[[EngineName], Engine]
    scratch: Path
    progress: Progress
    platform: Platform
