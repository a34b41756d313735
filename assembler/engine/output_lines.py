"""Lines out of a program's raw output, as they come and in bounded memory."""

from __future__ import annotations

import re
from collections import deque
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

_ENDING: Final = re.compile(rb"\r*\n|\r+(?!\n)")
_LONGEST: Final = 8192
"""Bytes: a longer line is handed on in pieces."""


class Lines:
    """Splits bytes at newlines and carriage returns; what is not UTF-8 shows as replacement characters.

    A carriage return means that the next line replaces this one (progress bars): every state is handed on, but only the
    last one is remembered in ``tail``, the last ``keep`` lines.
    """

    def __init__(self, on_line: Callable[[str], None] | None = None, *, keep: int = 200) -> None:
        self.tail: deque[str] = deque(maxlen=keep)
        self._on_line = on_line
        self._rest = b""
        self._replace = False

    def feed(self, data: bytes) -> None:
        start, data = 0, self._rest + data
        for match in _ENDING.finditer(data):
            if match.end() == len(data) and not match.group().endswith(b"\n"):
                break  # a \n may still follow the \r
            self._hand_on(data[start:match.start()], replaced=not match.group().endswith(b"\n"))
            start = match.end()
        while len(data) - start > _LONGEST:
            self._hand_on(data[start:start + _LONGEST], replaced=False)
            start += _LONGEST
        self._rest = data[start:]

    def close(self) -> None:
        """The output is over: hands on an unfinished last line."""
        if self._rest:
            self._hand_on(self._rest.rstrip(b"\r"), replaced=False)
        self._rest = b""

    def _hand_on(self, line: bytes, *, replaced: bool) -> None:
        text = line.decode(errors="replace")
        if self._replace and self.tail:
            self.tail.pop()
        self._replace = replaced
        self.tail.append(text)
        if self._on_line is not None:
            self._on_line(text)
