"""imgasm, and the two pipelines that tell what the machine can do."""

from __future__ import annotations

import json
import shutil
import sys
from abc import ABC, abstractmethod
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from benchmarks.measure import Run
    from benchmarks.trees import Tree


@dataclass(frozen=True, slots=True)
class Task:
    """One measured command. ``blob`` tells the compressed layer's bytes once it has run; ``reads`` is what it reads.

    ``seconds`` tells how long the work took, if that is not what the whole process took.
    """

    command: list[str]
    reads: Path
    blob: Callable[[Run], int]
    environment: dict[str, str] = field(default_factory=dict)
    seconds: Callable[[Run], float] = lambda run: run.process_seconds


class Contender(ABC):
    name: str
    needs: tuple[str, ...]
    """Programs."""
    rival: str
    """The name of the imgasm run that it is compared with."""
    engine = False

    def is_installed(self) -> bool:
        return all(shutil.which(program) for program in self.needs)

    @abstractmethod
    def ready(self, tree: Tree, place: Path) -> AbstractContextManager[Task]:
        """Brings the tree to where this contender works on it. What the command writes lies in ``place``."""


class Imgasm(Contender):
    needs = ()

    def __init__(self, codec: str, level: int) -> None:
        self.name = self.rival = f"imgasm {codec} -{level}"
        self._codec = codec
        self._level = level

    @contextmanager
    def ready(self, tree: Tree, place: Path) -> Iterator[Task]:
        arguments = [str(tree.upper), str(tree.base), str(place / "layout"), self._codec, str(self._level)]
        yield Task(
            [sys.executable, "-m", "benchmarks.imgasm_run", *arguments],
            tree.upper,
            lambda run: int(json.loads(run.output)["blob"]),
            {"PYTHONPATH": str(Path(__file__).parent.parent)},
            lambda run: float(json.loads(run.output)["seconds"]),
        )


class Pipeline(Contender):
    """``tar`` of the upper directory through a compressor: no digests, no whiteouts, no layout."""

    def __init__(self, compress: str, rival: str) -> None:
        self.name = f"tar | {compress}"
        self.needs = ("tar", compress.split()[0])
        self.rival = rival
        self._compress = compress

    @contextmanager
    def ready(self, tree: Tree, place: Path) -> Iterator[Task]:
        blob = place / "blob"
        # Like imgasm's layout, the blob is safe on the disk at the end.
        shell = f'tar -C "$0" -cf - . | {self._compress} > "$1" && sync "$1"'
        yield Task(["sh", "-c", shell, str(tree.upper), str(blob)], tree.upper, lambda _: blob.stat().st_size)
