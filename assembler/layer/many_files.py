"""Plain files by the hundred, in C where that could be built (``_many_files.c``): small files take half the time so.

A plain file is a regular one with one name, no extended attributes, and no holes worth a word. All others, and all of
them where there is no C, take the way through Python: it is the one to read, and gives the same bytes.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final, Protocol

from assembler.model.node import Kind, Node

try:
    from assembler.layer import _many_files  # type: ignore[attr-defined]
except ImportError:
    _many_files = None

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from assembler.layer.entry import Entry

Listing = tuple[dict[bytes, Node | None], list[bytes]]
"""A directory's plain files by their path, each with its node, and the names of all else in it."""


class _InC(Protocol):
    def scan(
        self, directories: tuple[tuple[bytes, bytes], ...], model: Node, large: int, threads: int, /
    ) -> list[Listing | None]: ...

    def pack(
        self, entries: tuple[Entry, ...], first: int, kind: Kind, buffer: memoryview, threads: int, /
    ) -> list[int]: ...

    def likeness(self, path: bytes, /) -> bytes: ...


in_c: _InC | None = _many_files
"""None where there is no C."""

_MODEL: Final = Node(Kind.REGULAR, 0)
_THREADS: Final = min(8, os.cpu_count() or 1)


def scan(directories: Sequence[tuple[bytes, bytes]], large: int) -> Sequence[Listing | None]:
    """What is in each of ``directories``: pairs of what goes before its names in a path, and where it is here.

    Holes in files larger than ``large`` bytes are worth a word.
    None: nobody looked, or it could not be read.
    """
    if in_c is None:
        return [None] * len(directories)
    return in_c.scan(tuple(directories), _MODEL, large, _THREADS)


def pack(entries: tuple[Entry, ...], first: int, buffer: memoryview) -> list[int]:
    """Writes headers, contents and padding of ``entries`` from ``first`` on, as far as they are plain files that fit.

    Returns where in ``buffer`` each of these ends. It stops at a file that is not what its entry says.
    """
    return in_c.pack(entries, first, Kind.REGULAR, buffer, _THREADS) if in_c is not None else []


def likeness_of(in_python: Callable[[bytes], bytes]) -> Callable[[bytes], bytes]:
    """The fastest way to what ``entry_order.likeness`` gives, which is ``in_python``."""
    return in_c.likeness if in_c is not None else in_python
