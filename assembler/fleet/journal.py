"""What a fleet's collector has done, in a file that outlives it: one JSON object a line.

What exists is for the registry to say. The journal says what engines were asked to do, so that a collector that comes
back waits for that and doesn't ask twice.
"""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from assembler.errors import UsageError
from assembler.locks import attempt

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


class Journal:
    """``path`` is made if need be. ``now`` gives seconds since 1970."""

    def __init__(self, path: Path, now: Callable[[], float]) -> None:
        self._path = path
        self._now = now

    def note(self, event: str, **facts: Any) -> None:
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"event": event, "at": round(self._now(), 1), **facts}) + "\n")

    def of(self, event: str) -> list[dict[str, Any]]:
        """All of that kind, in order. A line that a killed process left half is passed over."""
        return [entry for entry in self._entries() if entry.get("event") == event]

    def _entries(self) -> Iterator[dict[str, Any]]:
        try:
            lines = self._path.read_text(encoding="utf-8", errors="replace").splitlines()
        except FileNotFoundError:
            return
        for line in lines:
            try:
                entry = json.loads(line)
            except ValueError:
                continue
            if isinstance(entry, dict):
                yield entry

    @contextmanager
    def alone(self) -> Iterator[None]:
        """UsageError while another process works with this journal."""
        with attempt(self._path.with_suffix(".lock")) as is_free:
            if not is_free:
                raise UsageError(f"another imgasm matrix writes to {self._path.parent}",
                                 hint="Wait for it, or name another directory: --output DIR.")
            yield
