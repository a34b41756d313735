"""What each prune preset removes."""

from __future__ import annotations

from assembler.model.prune_presets import PRESETS
from documenting.outline import Entry, Page, Section


def prune_presets() -> Page:
    entries = (Entry(name, preset.purpose, example=" ".join(preset.globs)) for name, preset in PRESETS.items())
    return Page("Prune presets", (
        "`presets` in `[prune]` takes these names. A preset removes what the container added at its globs; what the "
        "base has there stays as the base has it. `imgasm schema --presets` prints the same.",
    ), (Section("Presets", entries=tuple(entries), column="preset"),))  # fmt: skip
