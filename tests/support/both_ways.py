"""What is done for many files is done in C or in Python (``layer/many_files.py``), and nobody may tell which."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from assembler.layer import many_files

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def only_python() -> Iterator[None]:
    kept, many_files.in_c = many_files.in_c, None
    try:
        yield
    finally:
        many_files.in_c = kept
