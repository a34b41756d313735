"""What an image's own loader is told to insert: ``modules.conf`` beside ``recipes/modules/load``, a shell script of
assignments."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from assembler.kernel.symbols import module_name

if TYPE_CHECKING:
    from collections.abc import Iterable

    from assembler.kernel.file_tree import FileTree

CONFIG: Final = b"modules.conf"
_ASSIGNMENT: Final = re.compile(r"""^\s*(\w+)=('([^']*)'|"([^"$`]*)"|([^\s'"$`]*))\s*(?:#.*)?$""", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Loader:
    """``path`` is the configuration's; ``modules`` are in order of insertion, ``optional`` those that may fail."""

    path: bytes
    modules: tuple[str, ...]
    optional: frozenset[str]
    firmware: bytes


def find_loaders(tree: FileTree, modules: Iterable[bytes]) -> list[Loader]:
    """The configurations in the directories above ``modules``."""
    above = dict.fromkeys(directory for path in modules for directory in directories_above(path))
    found = []
    for directory in above:
        path = b"%s/%s" % (directory, CONFIG) if directory else CONFIG
        text = tree.text(path)
        told = _assignments(text) if text else {}
        if "modules" in told:
            found.append(_loader(path, told))
    return found


def _loader(path: bytes, told: dict[str, str]) -> Loader:
    names = tuple(map(module_name, told["modules"].split()))
    optional = frozenset(map(module_name, told.get("optional", "").split()))
    return Loader(path, names, optional, told.get("firmware", "").strip("/").encode())


def _assignments(text: str) -> dict[str, str]:
    """Those whose values stand there; what a shell would have to work out is left out."""
    return {found[1]: next((value for value in (found[3], found[4], found[5]) if value is not None), "")
            for found in _ASSIGNMENT.finditer(text)}  # fmt: skip


def directories_above(path: bytes) -> list[bytes]:
    """All directories that ``path`` lies in, the nearest first; the root is ``b""``."""
    found = []
    while path:
        path = path.rpartition(b"/")[0]
        found.append(path)
    return found
