"""What a layer could still do without, and what each would bring."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Final, Literal

from assembler.report.record_part import RecordPart, path_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from assembler.report.file_table import LayerRow

_EXAMPLES: Final = 5
_WORTH_COMPARING: Final = 4096
"""Bytes. Smaller files that are equal bring next to nothing, and there are many of them to read."""


class Hint(RecordPart):
    """``files`` and ``bytes`` are what would not be in the layer, ``compressed`` about what the blob would lose.

    ``what`` is a preset's name for ``preset``. ``examples`` are the largest; of equal files the copies that could go.
    """

    kind: Literal["preset", "equal", "debug"]
    what: str = ""
    files: int
    bytes: int
    compressed: int | None = None
    examples: tuple[str, ...] = ()

    @property
    def sentence(self) -> str:
        return {
            "preset": f'prune.presets = ["{self.what}"]',
            "equal": "copies of other files in the layer: hard links would do",
            "debug": "debugging information: strip --strip-debug removes it",
        }[self.kind]


def of_presets(rows: Iterable[LayerRow], preset_of: Callable[[bytes], str | None]) -> list[Hint]:
    """``preset_of`` names the preset, not in use so far, that would take a path out."""
    found: defaultdict[str, list[tuple[LayerRow, int]]] = defaultdict(list)
    for row in rows:
        preset = preset_of(row.path)
        if preset is not None:
            found[preset].append((row, row.size))
    return [_hint("preset", pieces, preset) for preset, pieces in found.items()]


def of_equal(rows: Iterable[LayerRow], digest_of: Callable[[bytes], bytes]) -> list[Hint]:
    """Only files of equal size are read: ``digest_of`` is asked for few."""
    sizes: defaultdict[int, list[LayerRow]] = defaultdict(list)
    for row in rows:
        if row.size >= _WORTH_COMPARING:
            sizes[row.size].append(row)
    copies: list[tuple[LayerRow, int]] = []
    for alike in sizes.values():
        seen: set[bytes] = set()
        for row in sorted(alike, key=lambda row: row.path) if len(alike) > 1 else ():
            digest = digest_of(row.path)
            if digest in seen:
                copies.append((row, row.size))
            seen.add(digest)
    return [_hint("equal", copies)] if copies else []


def of_debug(debug: Iterable[tuple[LayerRow, int]]) -> list[Hint]:
    """From ELF files and the bytes that debugging information takes in each."""
    pieces = [(row, size) for row, size in debug if size]
    return [_hint("debug", pieces)] if pieces else []


def _hint(kind: Literal["preset", "equal", "debug"], pieces: list[tuple[LayerRow, int]], what: str = "") -> Hint:
    largest = sorted(pieces, key=lambda piece: (-piece[1], piece[0].path))[:_EXAMPLES]
    known = all(row.share is not None for row, _ in pieces)
    compressed = sum((row.share or 0) * size // row.size for row, size in pieces if row.size)
    return Hint(
        kind=kind,
        what=what,
        files=len(pieces),
        bytes=sum(size for _, size in pieces),
        compressed=compressed if known else None,
        examples=tuple(path_text(row.path) for row, _ in largest),
    )
