"""The terminal: results go to stdout, everything that happens on the way to stderr."""

from __future__ import annotations

import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, NoReturn, TextIO

from tqdm import tqdm

if TYPE_CHECKING:
    from collections.abc import Iterator

    from assembler.errors import ImgasmError
    from assembler.progress import Task

_NOTE_WIDTH = 60


class Terminal:
    """A :class:`assembler.progress.Progress` that draws bars on a terminal and plain lines into a pipe or a log."""

    def __init__(self, stream: TextIO | None = None, *, verbose: bool = False, quiet: bool = False) -> None:
        self._stream = stream or sys.stderr
        self._verbose = verbose
        self._quiet = quiet
        self._draws = self._stream.isatty() and not quiet

    def say(self, message: str) -> None:
        if not self._quiet:
            self._line(message)

    def warn(self, message: str) -> None:
        self._line(f"warning: {message}")

    def output(self, line: str) -> None:
        if self._verbose:
            self._line(f"  | {printable(line)}")

    @contextmanager
    def task(self, label: str, *, total: int | None = None, unit: str = "B") -> Iterator[Task]:
        if self._verbose and unit != "B":
            self.say(label)  # every line of output follows: a bar would only flicker among them
        bar = _bar(label, total, unit, self._stream) if self._draws and not (self._verbose and unit != "B") else None
        try:
            yield _Bar(bar)
        finally:
            if bar is not None:
                bar.close()

    def fail(self, error: ImgasmError) -> None:
        """An error as a person needs it: what is wrong, what was seen, what to do."""
        if error.detail:
            for line in error.detail.splitlines():
                self._line(f"  | {printable(line)}")
        self._line(f"error: {error.message}")
        for note in getattr(error, "__notes__", ()):
            self._line(f"note: {note}")
        if error.hint:
            self._line(f"hint: {error.hint}")

    def _line(self, text: str) -> None:
        tqdm.write(text, file=self._stream)
        self._stream.flush()


class _Bar:
    def __init__(self, bar: tqdm[NoReturn] | None) -> None:
        self._bar = bar
        self._lock = threading.Lock()

    def advance(self, amount: int) -> None:
        if self._bar is not None:
            with self._lock:
                self._bar.update(amount)

    def note(self, text: str) -> None:
        if self._bar is not None and text.strip():
            self._bar.set_postfix_str(printable(text.strip())[:_NOTE_WIDTH], refresh=False)


def _bar(label: str, total: int | None, unit: str, stream: TextIO) -> tqdm[NoReturn]:
    if unit == "B":
        return tqdm(desc=label, total=total, unit="B", unit_scale=True, file=stream, leave=False, dynamic_ncols=True)
    return tqdm(desc=label, total=total, bar_format="{desc}  {elapsed}{postfix}", file=stream, leave=False,
                dynamic_ncols=True)  # fmt: skip


def printable(text: str) -> str:
    """Foreign text without control characters: what a step prints must not steer the user's terminal."""
    return "".join(char if char.isprintable() else " " if char == "\t" else "?" for char in text)
