"""What the process finds around it. Only the command line asks for these."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from assembler.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from assembler.places.world_settings import WorldSettings


def variable(name: str) -> str:
    """What the environment variable ``name`` holds. UsageError where there is none."""
    value = os.environ.get(name)
    if value is None:
        raise UsageError(f"the environment has no variable {name}", hint=f"Set it, as in: export {name}=...")
    return value


def settings(authfile: Path | None = None) -> WorldSettings:
    """What a command's world is made from, where it meets no registry or has no options for that."""
    from assembler.places.world_settings import WorldSettings

    return WorldSettings(os.environ, authfile=authfile)
