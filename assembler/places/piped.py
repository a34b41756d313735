"""Something that writes, turned into something to read."""

from __future__ import annotations

import os
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@contextmanager
def piped(write: Callable[[BinaryIO], object]) -> Iterator[BinaryIO]:
    """What ``write`` writes, as something to read: a pipe with a thread behind it."""
    reader, writer = os.pipe()
    failures: list[BaseException] = []

    def run() -> None:
        try:
            with open(writer, "wb") as sink:
                write(sink)
        except BrokenPipeError:
            pass  # the reader gave up; its own error tells why
        except BaseException as failure:
            failures.append(failure)

    thread = threading.Thread(target=run, name="archive", daemon=True)
    thread.start()
    try:
        with open(reader, "rb") as stream:
            yield stream
    finally:
        thread.join()
        if failures:
            raise failures[0]  # what the reader made of half a stream matters less
