"""What the programs that make and enter a container are told, as JSON. Nothing in it is secret: every user can see it.

Paths of this machine are relative to the container's own folder, so that it can be moved while nothing runs in it.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Final

PLAN: Final = "plan.json"
"""Its name in a container's folder."""


def escaped(path: str) -> str:
    """As an overlay's option (Documentation/filesystems/overlayfs.rst); a comma would end it."""
    for character in "\\:,":
        path = path.replace(character, f"\\{character}")
    return path


@dataclass(frozen=True, slots=True)
class Mount:
    """``host`` is a file or directory of this machine, ``path`` where it is in the container."""

    host: str
    path: str
    read_only: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """A container. ``lower`` has the base's files; ``volumes`` are filled with what it has there while they are empty.

    ``sleeper`` are the arguments of the shell that is process 1. ``capabilities`` are numbers.
    """

    build: str
    lower: str
    sleeper: tuple[str, ...]
    env: dict[str, str]
    capabilities: tuple[int, ...]
    privileged: bool
    own_network: bool
    in_memory: str | None
    files: tuple[Mount, ...] = ()
    volumes: tuple[Mount, ...] = ()
    binds: tuple[Mount, ...] = ()
    devices: tuple[Mount, ...] = ()
    root: str = "root"
    upper: str = "upper"
    work: str = "work"

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Plan:
        """What :meth:`to_json` gave: its own folder is believed."""
        told = json.loads(text)
        for key in ("files", "volumes", "binds", "devices"):
            told[key] = tuple(Mount(**one) for one in told[key])
        return cls(**told)


@dataclass(frozen=True, slots=True)
class Entry:
    """A command in the container whose process 1 is ``pid``; the rest is as in :class:`assembler.engine.running.Exec`.
    """

    pid: int
    words: tuple[str, ...]
    capabilities: tuple[int, ...]
    own_network: bool
    env: dict[str, str] = field(default_factory=dict)
    env_file: str | None = None
    user: str = "0"
    workdir: str = "/"
    terminal: bool = False

    def to_json(self) -> str:
        return json.dumps(asdict(self))
