"""All that is written out of the code: docs/reference and docs/man."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from documenting.commands import commands
from documenting.man import man
from documenting.markdown import markdown
from documenting.prune_presets import prune_presets
from documenting.recipe_keys import recipe_keys
from documenting.report_fields import report_fields
from documenting.written_tables import written_table

REPOSITORY: Final = Path(__file__).parents[2]
REFERENCE: Final = REPOSITORY / "docs" / "reference"
_MAN: Final = REPOSITORY / "docs" / "man"


def files() -> dict[Path, str]:
    """By path, what the file must hold."""
    every_command, keys, presets = commands(), recipe_keys(), prune_presets()
    tables = [written_table(REFERENCE / name) for name in ("exit-codes.md", "environment.md")]
    return {
        REFERENCE / "commands.md": markdown(every_command),
        REFERENCE / "recipe.md": markdown(keys),
        REFERENCE / "presets.md": markdown(presets),
        REFERENCE / "reports.md": markdown(report_fields()),
        _MAN / "imgasm.1": man("imgasm", 1, "assembles container images without Dockerfiles", [every_command, *tables]),
        _MAN / "imgasm-recipe.5": man("imgasm-recipe", 5, "how imgasm assembles images", [keys, presets]),
    }
