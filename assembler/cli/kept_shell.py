"""A shell in the container of a kept build, on this process's own terminal."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

from assembler.errors import ImgasmError

if TYPE_CHECKING:
    from assembler.cli.shared_options import RecipeChoice
    from assembler.commands.kept_builds import KeptBuild
    from assembler.places.world import World
    from assembler.recipe.recipe import Recipe


def enter(kept: KeptBuild, choice: RecipeChoice, world: World) -> int:
    """``choice`` is the recipe of ``kept``. Returns the shell's exit status."""
    from assembler.commands.enter_container import entering

    recipe = _recipe(choice, world)
    on_terminal = sys.stdin.isatty() and sys.stdout.isatty()
    with entering(kept, recipe, world, terminal=on_terminal) as (command, descriptors):
        return subprocess.run(command, pass_fds=descriptors, check=False).returncode


def _recipe(choice: RecipeChoice, world: World) -> Recipe | None:
    """As it is now, for its environment. The container can be entered without it."""
    try:
        return choice.open()
    except ImgasmError as error:
        world.progress.warn(f"the container has no environment of the recipe's: {error.message}")
        return None
