"""The times of a build: what the environment and the command line say of them wins over the recipe."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from assembler.errors import UsageError
from assembler.model.timestamp import EPOCH, NOW, moment, parse_created

if TYPE_CHECKING:
    from assembler.recipe.recipe import Recipe


def with_timestamps(recipe: Recipe, clamp: int | None, created: str | None, now: float) -> Recipe:
    """``recipe`` with its times settled; ``created`` is then RFC 3339, or None for images without dates.

    ``clamp`` and ``now`` are in seconds since 1970, ``created`` is as a recipe has it. Raises UsageError.
    """
    epoch = recipe.source_date_epoch if clamp is None else clamp
    wanted = _parsed(created) or recipe.created
    try:
        if wanted == NOW:
            wanted = moment(now)
        elif wanted == EPOCH:
            wanted = moment(_there(epoch))
    except ValueError as error:
        raise UsageError(f"the images can't be dated: {error}", hint="Give SOURCE_DATE_EPOCH in seconds.") from error
    return replace(recipe, source_date_epoch=epoch, created=wanted)


def _parsed(created: str | None) -> str | None:
    try:
        return parse_created(created) if created else None
    except ValueError as error:
        raise UsageError(f"--created: {error}", hint="The time needs a zone: Z, or +01:00.") from error


def _there(epoch: int | None) -> int:
    if epoch is None:
        raise UsageError(f'created is "{EPOCH}", but that is not set',
                         hint=f"Set SOURCE_DATE_EPOCH in the environment, or {EPOCH} in the recipe.")
    return epoch
