"""Blobs that live no longer than a command."""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from assembler.image.layout import Layout

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def temporary_layout(place: Path) -> Iterator[Layout]:
    """An empty layout below the directory ``place``, which is made if need be."""
    place.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=place, prefix="scratch-") as directory:
        yield Layout.create(Path(directory, "layout"))
