"""What a build was made of, for those who ask later: the recipe, its base, its sources, what its images stand on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from assembler.model.place import Place, Store
from assembler.model.reference import Reference
from assembler.model.secrets import mask_userinfo
from assembler.recipe.base import row
from assembler.report.build_record import Material

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from assembler.commands.bases import Bases
    from assembler.recipe.base import Base
    from assembler.recipe.recipe import Recipe
    from assembler.recipe.sources import Source


def materials(recipe: Recipe, bases: Bases, sources: Mapping[Source, str]) -> Iterator[Material]:
    """``sources`` are sha256 digests as hex. Secrets are hidden."""
    if recipe.digest is not None:
        yield Material(name=f"recipe {recipe.file.name}", digest=str(recipe.digest))
    name, uri = mask_userinfo(recipe.secrets.mask(_base(recipe.base))), _uri(recipe.base.image)
    yield Material(name=name, uri=uri, digest=str(bases.identity(recipe.base)))
    for source, sha256 in sources.items():
        yield Material(name=f"source {source.name}", uri=mask_userinfo(source.declared), digest=f"sha256:{sha256}")
    for image in recipe.images:
        below = bases.onto(image, recipe.base) if image.onto not in ("base", "scratch") else None
        if below is not None:
            place = Place.told(image.onto)
            uri = _uri(place.where) if place.store is Store.REGISTRY else None
            yield Material(name=f"what image {image.name} is stacked on", uri=uri, digest=str(below.digest))


def _base(base: Base) -> str:
    """A bootstrap as the plan tells it. Of the others a path would be told, which is this machine's."""
    return " ".join(row(base)) if base.bootstrap is not None else "base"


def _uri(reference: str | None) -> str | None:
    """As containers-transports(5) writes it."""
    return None if reference is None else f"docker://{Reference.parse(reference).with_default_tag()}"
