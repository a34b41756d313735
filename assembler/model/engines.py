"""The container engines that imgasm works with, and what is called after them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, get_args

EngineName = Literal["docker", "podman", "host"]
"""``host`` is no engine but this machine itself: it runs steps, and keeps no images."""

NAMES: Final[tuple[EngineName, ...]] = get_args(EngineName)


@dataclass(frozen=True, slots=True)
class KnownEngine:
    """``transport`` stands before an image that the engine has (containers-transports(5)). ``variables`` of the
    environment say where the engine is; the first that is set counts."""

    transport: str
    variables: tuple[str, ...]


ENGINES: Final[dict[EngineName, KnownEngine]] = {
    "docker": KnownEngine("docker-daemon", ("DOCKER_HOST", "DOCKER_CONTEXT")),
    "podman": KnownEngine("containers-storage", ("CONTAINER_HOST", "CONTAINER_CONNECTION")),
}
"""Where none is asked for, the first that answers is taken."""
