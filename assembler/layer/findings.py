"""What is wrong somewhere, told once however many paths it is about."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Final, Literal

from assembler.model.printable import printable

Severity = Literal["error", "warning", "note"]
"""An *error* makes engines fail, disagree or lose data, or hides data from all of them; a *warning* is waste, or makes
the digest depend on the host; a *note* is not wrong, but says what was not looked at."""

_EXAMPLES: Final = 3
_MOST_KINDS: Final = 1000
"""What a hostile archive makes of messages must not fill the memory."""


@dataclass(frozen=True, slots=True)
class Finding:
    """``where`` names the blob or file, ``what`` is wrong there, with the first few paths when there are several.

    ``count`` says how often, ``paths`` are the examples by themselves; all text is printable.
    """

    severity: Severity
    where: str
    what: str
    count: int = field(default=1, compare=False)
    paths: tuple[str, ...] = field(default=(), compare=False)


class Notes:
    """Findings about one archive, in the order in which they were first made."""

    def __init__(self) -> None:
        self._places: dict[tuple[Severity, str], _Places] = {}

    def note(self, severity: Severity, what: str, path: bytes | None = None) -> None:
        key = (severity, what)
        if key not in self._places and len(self._places) >= _MOST_KINDS:
            key = ("error", "more kinds of faults than are listed")
        self._places.setdefault(key, _Places()).add(path)

    def findings(self, where: str) -> list[Finding]:
        return [
            Finding(severity, where, printable(f"{what}{places}"), places.count, tuple(places.first))
            for (severity, what), places in self._places.items()
        ]


class _Places:
    """The first few paths that a finding is about, and how many there are."""

    def __init__(self) -> None:
        self.count = 0
        self.first: list[str] = []

    def add(self, path: bytes | None) -> None:
        self.count += 1
        if path is not None and len(self.first) < _EXAMPLES:
            self.first.append(printable(os.fsdecode(path)) or ".")

    def __str__(self) -> str:
        more = f" and {self.count - _EXAMPLES} more" if self.count > _EXAMPLES else ""
        return f": {', '.join(self.first)}{more}" if self.first else ""
