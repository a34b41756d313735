"""Blobs that live no longer than a command."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from assembler.image.layout import Layout
from assembler.locks import work_directory

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def temporary_layout(cache: Path) -> Iterator[Layout]:
    """An empty layout below the directory ``cache``, which is made if need be."""
    with work_directory(cache / "archives") as work:
        yield Layout.create(work.path / "layout")
