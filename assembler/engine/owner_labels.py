"""Whose container is this, and does the owner still live? Labels on everything that imgasm makes in an engine."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Final

BUILD: Final = "io.imgasm.build"
OWNER: Final = "io.imgasm.owner"
PREFIX: Final = "io.imgasm."


@dataclass(frozen=True, slots=True)
class Owner:
    """A process, told apart from every other one: ids are used again, but not with the same start time and boot.

    ``namespace`` is the inode of its process namespace: two containers on one host share the boot, not the ids.
    ``started`` counts clock ticks since the boot.
    """

    boot: str
    namespace: int
    pid: int
    started: int

    @classmethod
    def of_this_process(cls) -> Owner:
        return cls(_boot(), _namespace(), os.getpid(), _started(os.getpid()) or 0)

    @classmethod
    def parse(cls, label: str) -> Owner | None:
        boot, *numbers = label.split("/")
        if len(numbers) != 3 or not all(number.isdecimal() for number in numbers):
            return None
        return cls(boot, *map(int, numbers))

    def __str__(self) -> str:
        return f"{self.boot}/{self.namespace}/{self.pid}/{self.started}"

    @property
    def gone(self) -> bool | None:
        """None where that can't be known: another machine, another boot, or another container on this one."""
        if (self.boot, self.namespace) != (_boot(), _namespace()):
            return None
        return _started(self.pid) != self.started


def labels(build: str) -> dict[str, str]:
    """For everything that this process makes for the build ``build``."""
    return {BUILD: build, OWNER: str(Owner.of_this_process())}


def _boot() -> str:
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        return "unknown"  # not Linux: the engine is a virtual machine's


def _namespace() -> int:
    try:
        return os.stat("/proc/self/ns/pid").st_ino
    except OSError:
        return 0


def _started(pid: int) -> int | None:
    """proc(5), /proc/pid/stat, field 22. The name in field 2 may hold blanks and parentheses."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return int(file.read().rpartition(b")")[2].split()[19])
    except OSError:
        return None
