"""The [[cache]] volumes of a build: locked while its steps run."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from functools import partial
from typing import TYPE_CHECKING

from assembler.locks import exclusive

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import PurePosixPath

    from assembler.commands.job import Job
    from assembler.recipe.recipe import Recipe


def volumes(recipe: Recipe) -> dict[PurePosixPath, str]:
    return {cache.path: cache.volume for cache in recipe.caches}


@contextmanager
def alone_with_caches(job: Job) -> Iterator[None]:
    """While no other build of this user has those caches that are not shared. Always taken in one order."""
    folder = job.world.cache / "cache-locks"
    with ExitStack() as locks:
        for cache in sorted(job.recipe.caches, key=lambda cache: cache.name):
            if not cache.shared and job.engine is not None:
                folder.mkdir(parents=True, exist_ok=True)
                told = f"another build is using the cache {cache.name}; waiting for it"
                path = folder / f"{job.engine.name}-{cache.name}"
                locks.enter_context(exclusive(path, partial(job.world.progress.say, told)))
        yield
