"""Results on standard output."""

from __future__ import annotations

import os
import shutil
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def emit(text: str) -> None:
    """``text`` and one line end; nothing for nothing."""
    if text:
        sys.stdout.write(text.rstrip("\n") + "\n")
        sys.stdout.flush()


def drawn(render: Callable[[int, bool], str]) -> str:
    """What ``render(width, color)`` makes: as wide as the terminal, 80 columns in a pipe; colours only on a terminal
    without NO_COLOR."""
    color = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    width = shutil.get_terminal_size((80, 24)).columns if sys.stdout.isatty() else 80
    return render(max(60, width), color)
