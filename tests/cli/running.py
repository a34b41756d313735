"""imgasm as a process, with an environment in which nothing of the developer's own is left."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

IMGASM = str(Path(sys.executable).with_name("imgasm"))


def surroundings(home: Path, **more: str) -> dict[str, str]:
    return {"HOME": str(home), "PATH": os.environ["PATH"], "XDG_RUNTIME_DIR": str(home / "run"), "LC_ALL": "C.UTF-8"
            } | more  # fmt: skip


def imgasm(home: Path, *arguments: str | Path, text: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    """The console script, as users start it."""
    return subprocess.run([IMGASM, *arguments], input=text, text=True, capture_output=True,
                          env=surroundings(home, **environment), check=False)  # fmt: skip
