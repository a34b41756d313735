"""``imgasm shell``: what a step would find, for a person."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from assembler.commands.kept_builds import KeptBuilds
from assembler.commands.run_steps import command_of
from assembler.commands.secret_values import SecretValues
from assembler.engine.step import Command, shell_in
from assembler.model.container import Container

if TYPE_CHECKING:
    from collections.abc import Iterator

    from assembler.commands.kept_builds import KeptBuild
    from assembler.places.world import World
    from assembler.recipe.recipe import Recipe


@contextmanager
def entering(
    kept: KeptBuild, recipe: Recipe | None, world: World, *, terminal: bool
) -> Iterator[tuple[list[str], tuple[int, ...]]]:
    """A command line that is a shell in the container of ``kept``, and the open files that it inherits.

    Environment, directory and user are those of the step that failed, or of the last one, as ``recipe`` has it now.
    """
    builds, engine = KeptBuilds(world.kept), world.runner(kept.engine)
    with builds.alone(kept.build), engine.woken(kept.container) as container:
        builds.save(replace(kept, entered=True))
        if recipe is None:
            command = Command("shell", Container().shell[:1], {})
            with shell_in(container, command, terminal=terminal) as found:
                yield found
            return
        secrets = SecretValues.of(recipe, world)
        step = recipe.steps[min(kept.done, len(recipe.steps) - 1)]
        bare = replace(command_of(recipe, step), argv=recipe.container.shell[:1])
        with secrets.given_to(step, bare, container) as command:
            command = command.hiding(secrets.hidden_in(recipe).secrets)
            if lost := [key for key, value in command.hidden_env.items() if "\n" in value]:
                world.progress.warn(f"a shell can't be given a secret of several lines; it lacks {', '.join(lost)}")
            with shell_in(container, command, terminal=terminal) as found:
                yield found
