"""``imgasm clean``: what killed builds left in the engine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from assembler.engine.leftovers import remove_leftovers as clean_engine

if TYPE_CHECKING:
    from assembler.engine.client import Engine


def clean(engine: Engine, *, every: bool = False) -> list[str]:
    """One line for each container or image that was removed; scratch volumes go with their containers.

    Builds that still run are left alone; ``every`` also takes what another machine's imgasm made.
    """
    removed = clean_engine(engine, every=every).removed
    return [f"{leftover.kind} {leftover.name} of build {leftover.build}: {leftover.why}" for leftover in removed]
