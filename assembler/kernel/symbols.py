"""What a kernel and its modules export: each symbol with its CRC, its owner, and who may use it."""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

VMLINUX: Final = "vmlinux"
"""The owner of what is built in."""


class Export(NamedTuple):
    """``owner`` is a module's name or :data:`VMLINUX`; ``crc`` None where nobody says. Without ``namespace`` it is in
    none."""

    crc: int | None
    owner: str
    is_gpl: bool
    namespace: str = ""


class Symbols(Protocol):
    """The exports of one kernel and its own modules; of some of them, where they are not ``is_complete``."""

    @property
    def is_complete(self) -> bool: ...

    def built_in(self, name: str) -> Export | None:
        """What the kernel itself exports."""

    def find(self, name: str, likely: Iterable[str], *, everywhere: bool) -> Export | None:
        """``likely`` are modules that may own it. Reading all others ``everywhere`` can take seconds."""

    def has_looked_everywhere(self) -> bool:
        """Whether ``everywhere`` would find no more."""


class Listed:
    """Symbols that are all known."""

    def __init__(self, exports: Mapping[str, Export], *, is_complete: bool) -> None:
        self._exports = exports
        self.is_complete = is_complete

    def built_in(self, name: str) -> Export | None:
        found = self._exports.get(name)
        return found if found is not None and found.owner == VMLINUX else None

    def find(self, name: str, likely: Iterable[str], *, everywhere: bool) -> Export | None:
        return self._exports.get(name)

    def has_looked_everywhere(self) -> bool:
        return True


def module_name(path: str) -> str:
    """A module's name, by its file's: ``nvidia-uvm.ko.xz`` is nvidia_uvm."""
    return posixpath.basename(path).partition(".ko")[0].replace("-", "_")


def read_symvers(text: str) -> Iterator[tuple[str, Export]]:
    """The lines of a Module.symvers (Documentation/kbuild/modules.rst); those that are none are left out."""
    for line in text.splitlines():
        crc, name, owner, kind, *namespace = [*line.split("\t"), "", "", "", ""][:5] if "\t" in line else [""] * 4
        if not name or not kind.startswith("EXPORT_"):
            continue
        try:
            number = int(crc, 16)
        except ValueError:
            continue
        yield name, Export(number, module_name(owner), "GPL" in kind, namespace[0] if namespace else "")
