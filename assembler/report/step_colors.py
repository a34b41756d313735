"""Colours that stand for steps, the same in every picture."""

from __future__ import annotations

from typing import Final

STEPS: Final = (
    "#4e79a7", "#f28e2b", "#59a14f", "#e15759", "#76b7b2", "#edc948", "#b07aa1", "#ff9da7", "#9c755f", "#86bcb6",
)  # fmt: skip
"""Tableau's ten, told apart also by most who see fewer colours; a build with more steps starts over."""

NO_STEP: Final = "#9a9a9a"


def color(step: int | None) -> str:
    return NO_STEP if step is None else STEPS[step % len(STEPS)]


def ink(background: str) -> str:
    """Black or white, whichever reads better on ``background`` (#rrggbb; ITU-R BT.601 luma)."""
    red, green, blue = (int(background[start : start + 2], 16) for start in (1, 3, 5))
    return "#000" if 299 * red + 587 * green + 114 * blue > 140_000 else "#fff"
