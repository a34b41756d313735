"""Standard output and error as they are met in real life: closed, full, broken off, or of few characters."""

from __future__ import annotations

import codecs
import io
import os
import sys
from typing import TYPE_CHECKING, Final

from assembler.errors import FileError

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

_PLAIN: Final = {"…": "...", "█": "#", "“": '"', "”": '"', "’": "'", "–": "-", "—": "-", "→": "->", "×": "x"}


class PipeClosed(BaseException):
    """Nobody reads standard output any more: ``imgasm size-report | head``."""


def mend() -> None:
    """Called once, first. A descriptor that is closed would go to the next file that is opened, and what is printed
    would go into that one."""
    closed = [number for number in (0, 1, 2) if _fill(number)]
    codecs.register_error("imgasm", _plainer)
    if 0 in closed:
        sys.stdin = open(os.devnull, encoding="utf-8")  # noqa: SIM115  it lives as long as the process
    if 2 in closed:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    elif isinstance(sys.stderr, io.TextIOWrapper):
        sys.stderr.reconfigure(errors="imgasm")
    encoding = sys.stdout.encoding if sys.stdout is not None else "utf-8"
    raw = _Output(1, "w", closefd=False)
    sys.stdout = io.TextIOWrapper(io.BufferedWriter(raw), encoding=encoding, errors="imgasm",
                                  line_buffering=raw.isatty())  # fmt: skip


def flush() -> None:
    """What is printed must have arrived before the exit code says so."""
    sys.stdout.flush()


def give_up() -> None:
    """Whatever is still buffered for a broken stream goes nowhere: Python would tell of it in a traceback."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (Exception, PipeClosed):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _fill(number: int) -> bool:
    """Opens /dev/null as descriptor ``number`` if that is closed; the lowest free one is what the system gives.

    Standard output so that it still can't be written: what is printed there would be lost without a word."""
    try:
        os.fstat(number)
    except OSError:
        opened = os.open(os.devnull, os.O_RDONLY if number == 1 else os.O_RDWR)
        assert opened == number
        os.set_inheritable(opened, True)
        return True
    return False


class _Output(io.FileIO):
    """Standard output, with errors that are imgasm's own wherever the write comes from."""

    def write(self, data: ReadableBuffer, /) -> int:
        try:
            return super().write(data)
        except BrokenPipeError:
            raise PipeClosed from None
        except OSError as error:
            raise FileError.of(error, "standard output") from error


def _plainer(error: UnicodeError) -> tuple[str, int]:
    """Codec error handler: characters that the terminal does not have as some that it has."""
    assert isinstance(error, UnicodeEncodeError)
    text = error.object[error.start : error.end]
    return "".join(_PLAIN.get(char, "?") for char in text), error.end
