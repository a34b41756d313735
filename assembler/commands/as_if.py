"""Steps as another machine might run them: differences on purpose, to see whether the images keep their digests."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from assembler.recipe.steps import Step

if TYPE_CHECKING:
    from assembler.recipe.recipe import Recipe


def as_if(recipe: Recipe, provocations: tuple[str, ...]) -> Recipe:
    """``recipe`` with its steps under each of ``provocations``, which are names in :data:`PROVOCATIONS`."""
    for name in provocations:
        recipe = PROVOCATIONS[name](recipe)
    return recipe


def _with_environment(**variables: str) -> Callable[[Recipe], Recipe]:
    def provoked(recipe: Recipe) -> Recipe:
        env = {**recipe.container.env, **variables}
        return replace(recipe, container=replace(recipe.container, env=env))

    return provoked


def _with_umask(recipe: Recipe) -> Recipe:
    """Of steps that are scripts: what a command alone is started with is not the recipe's to say."""
    return replace(recipe, steps=tuple(map(_under_umask, recipe.steps)))


def _under_umask(step: Step) -> Step:
    if step.script is None:
        return step
    script = f"umask 077\n{step.script}"
    return replace(step, argv=(*step.argv[:-1], script), script=script)


PROVOCATIONS: Final[Mapping[str, Callable[[Recipe], Recipe]]] = {
    "umask": _with_umask,
    "locale": _with_environment(LANG="tr_TR.UTF-8", LC_ALL="tr_TR.UTF-8"),
    "timezone": _with_environment(TZ="XXX-14"),
    "cpus": _with_environment(OMP_NUM_THREADS="1"),
}
"""A umask of 077; a locale whose i has no capital I; the time zone where the date is the latest; one processor, as far
as programs ask OpenMP's variable (GNU nproc does)."""
