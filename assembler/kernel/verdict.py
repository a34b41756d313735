"""What a kernel would do with a module, and why, in its own words."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Final


class Outcome(enum.StrEnum):
    LOADS = "loads"
    REFUSED = "refused"
    UNKNOWN = "unknown"


class Weight(enum.StrEnum):
    """What a reason does to the verdict: a warning and a note do nothing, a note is no concern of anybody's."""

    REFUSED = "refused"
    UNKNOWN = "unknown"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Reason:
    """``rule`` is a word for programs, ``what`` what the kernel says, ``origins`` where the facts came from."""

    weight: Weight
    rule: str
    what: str
    origins: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Verdict:
    """On one module and one kernel. ``needs`` are the kernel's own modules that must be in it before."""

    module: str
    path: str
    kernel: str
    release: str
    reasons: tuple[Reason, ...]
    needs: tuple[str, ...] = ()

    @property
    def outcome(self) -> Outcome:
        weights = {reason.weight for reason in self.reasons}
        if Weight.REFUSED in weights:
            return Outcome.REFUSED
        return Outcome.UNKNOWN if Weight.UNKNOWN in weights else Outcome.LOADS


_SHOWN: Final = 4


def few(names: list[str]) -> str:
    """The first of them, and how many more there are."""
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
