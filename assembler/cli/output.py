"""Results on standard output."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from typing import TYPE_CHECKING, Final, Protocol

from assembler.model.printable import printable

if TYPE_CHECKING:
    from collections.abc import Callable

_NARROWEST: Final = 40
USUAL_WIDTH: Final = 80
"""Columns where there is no terminal, or one that does not say."""

_BEYOND_ASCII: Final = re.compile(r"[^\x00-\x7f]")
_OBEYED: Final = re.compile(r"[^\n\x20-\x7e]")
"""In JSON: what a terminal may obey, and letters."""


class Stream(Protocol):
    def isatty(self) -> bool: ...
    def fileno(self) -> int: ...


def emit(text: str) -> None:
    """``text`` and one line end; nothing for nothing. What a terminal would obey is escaped, wherever it comes from."""
    _write(printable(text, keep="\n\t"))


def emit_json(text: str) -> None:
    """JSON is the same value with characters escaped: those that a terminal obeys, or that standard output may lack."""
    knows_all = sys.stdout.encoding.lower().startswith("utf")
    told = _OBEYED if knows_all else _BEYOND_ASCII
    _write(told.sub(lambda match: match[0] if knows_all and match[0].isprintable() else json.dumps(match[0])[1:-1],
                    text))  # fmt: skip


def emit_drawn(render: Callable[[int, bool], str]) -> None:
    """What ``render(width, color)`` makes. Its colours are its own; of foreign names it lets nothing through."""
    _write(render(width(), is_colored(sys.stdout)))


def _write(text: str) -> None:
    if text:
        sys.stdout.write(text.rstrip("\n") + "\n")
        sys.stdout.flush()


def width() -> int:
    """Of the terminal, or what COLUMNS says."""
    known = sys.stdout.isatty() or os.environ.get("COLUMNS", "").isdecimal()
    return max(_NARROWEST, shutil.get_terminal_size((USUAL_WIDTH, 24)).columns if known else USUAL_WIDTH)


def has_width(stream: Stream) -> bool:
    try:
        return os.get_terminal_size(stream.fileno()).columns > 0
    except OSError:
        return False


def is_colored(stream: Stream) -> bool:
    """NO_COLOR (no-color.org) and FORCE_COLOR (force-color.org) decide where they are set and not empty; else it is
    what the terminal can."""
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR"):
        return True
    return can_move(stream)


def can_move(stream: Stream) -> bool:
    """Is there a terminal that understands escape sequences, and can be drawn on?"""
    return stream.isatty() and os.environ.get("TERM", "dumb") != "dumb"
