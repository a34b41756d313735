"""A compressor as an object that knows its media type, so that the type can't disagree with the bytes."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from assembler.errors import UsageError
from assembler.layer.codecs import CODECS

if TYPE_CHECKING:
    from assembler.layer.codecs.codec import Compressor


def compressor(
    codec: str, level: int | None = None, threads: int | None = None, file_size: int = 1 << 20
) -> Compressor:
    """A fresh compressor. ``threads`` (default: all cores) changes the speed and never the bytes.

    All parameters that change the output are pinned by the codec: a layer's digest must not depend on the machine.

    ``file_size`` is how many bytes the files have on average that are to be compressed, if that is known.
    """
    chosen = CODECS[codec]
    if level is not None and level not in chosen.levels:
        right = f"It takes {chosen.levels[0]} to {chosen.levels[-1]}." if chosen.levels else "It takes none."
        raise UsageError(f"{codec} has no level {level}", hint=right)
    return chosen.compressor(
        chosen.default_level if level is None else level, max(1, threads or os.cpu_count() or 1), file_size
    )
