"""Directories in directories, deeper than a path can be long, and than Python may recurse to remove them."""

from __future__ import annotations

import os
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def deep_tree(root: Path, count: int, name: str = "d") -> Iterator[bytes]:
    """Makes ``count`` directories, each in the one before, and gives the path of the last, relative to ``root``."""
    here = os.open(root, os.O_RDONLY)
    for _ in range(count):
        os.mkdir(name, dir_fd=here)
        inner = os.open(name, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = inner
    os.close(here)
    try:
        yield b"/".join([os.fsencode(name)] * count)
    finally:
        subprocess.run(["rm", "-rf", root / name], check=True)
