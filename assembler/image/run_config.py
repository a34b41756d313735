"""How an image wants to be run (image-spec config.md, "config")."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final


@dataclass(frozen=True, slots=True)
class Healthcheck:
    """``test`` as Docker's config has it: CMD and arguments, CMD-SHELL and a script, or NONE. Times are seconds; of
    what is None the engine decides."""

    test: tuple[str, ...]
    interval: float | None = None
    timeout: float | None = None
    start_period: float | None = None
    start_interval: float | None = None
    retries: int | None = None


NO_HEALTHCHECK: Final = Healthcheck(("NONE",))


@dataclass(frozen=True, slots=True)
class RunConfig:
    """What the image's config says about running it. None, or nothing, keeps what the base says.

    An ``entrypoint`` without a ``cmd`` drops the base's cmd, as a Dockerfile's ENTRYPOINT does: it was meant for
    another program. An empty tuple removes what the base says. ``launcher`` is put before whatever entrypoint and cmd
    result, which it gets as its arguments.
    """

    entrypoint: tuple[str, ...] | None = None
    cmd: tuple[str, ...] | None = None
    env: dict[str, str] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)
    user: str | None = None
    workdir: str | None = None
    ports: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()
    launcher: tuple[str, ...] = ()
    stop_signal: str | None = None
    healthcheck: Healthcheck | None = None
    shell: tuple[str, ...] | None = None
    onbuild: tuple[str, ...] | None = None
