"""How the one container of a build runs."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import PurePosixPath


@dataclass(frozen=True, slots=True)
class Container:
    """``scratch`` directories lie on volumes of their own, which go away with the container. ``network`` None is the
    engine's default network, or the host's where the engine has none.

    ``env`` is the environment of every step, and ``shell`` runs their scripts: the engine is told with each step.
    """

    privileged: bool = False
    cap_add: tuple[str, ...] = ()
    security_opt: tuple[str, ...] = ()
    devices: tuple[str, ...] = ()
    network: str | None = None
    scratch: tuple[PurePosixPath, ...] = ()
    env: dict[str, str] = field(default_factory=dict)
    shell: tuple[str, ...] = ("/bin/sh", "-e", "-c")
