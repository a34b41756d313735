"""``imgasm lock``, and the fetching of sources that every build begins with."""

from __future__ import annotations

from collections.abc import Iterable

from assembler.errors import SourceError
from assembler.recipe.recipe import STANDARD_INPUT, Recipe
from assembler.recipe.sources import Source
from assembler.source import lock_file
from assembler.source.fetch import Fetched, Fetcher
from assembler.source.lock_file import Pin


def fetch_sources(recipe: Recipe, fetcher: Fetcher) -> dict[Source, Fetched]:
    """Every source's file, checked. One without sha256 is pinned in the lock file, if there can be one, with a warning.

    Raises SourceError.
    """
    fetched = {source: fetcher.fetch(source.url, source.sha256) for source in recipe.sources}
    new = [source for source in recipe.sources if source.sha256 is None]
    if recipe.file == STANDARD_INPUT:
        for source in new:
            fetcher.progress.warn(f'source "{source.name}" has no sha256, and a recipe on standard input has no lock '
                                  f'file that pins it; give it sha256 = "{fetched[source].sha256}"')  # fmt: skip
        return fetched
    _pin(recipe, new, fetched)
    for source in new:
        fetcher.progress.warn(
            f'source "{source.name}" had no sha256; it is pinned now in {lock_file.lock_path(recipe.file).name}, '
            "which belongs into version control beside the recipe"
        )
    return fetched


def lock(recipe: Recipe, fetcher: Fetcher) -> dict[Source, Pin]:
    """Pins each source that neither the recipe nor the lock file pins yet, and returns these. Raises SourceError."""
    if recipe.file == STANDARD_INPUT:
        raise SourceError("a recipe on standard input has no lock file", hint="Save it in a file, and lock that.")
    new = [source for source in recipe.sources if source.sha256 is None]
    return _pin(recipe, new, {source: fetcher.fetch(source.url, None) for source in new})


def _pin(recipe: Recipe, sources: Iterable[Source], fetched: dict[Source, Fetched]) -> dict[Source, Pin]:
    pins = {source: Pin(fetched[source].sha256, fetched[source].size) for source in sources}
    if pins:
        lock_file.add(lock_file.lock_path(recipe.file), {source.declared: pin for source, pin in pins.items()})
    return pins
