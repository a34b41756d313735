"""``imgasm load``: images into the local engine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from assembler.places.load_into_engine import LoadedImage, into_engine
from assembler.places.open import open_place

if TYPE_CHECKING:
    from assembler.engine.client import Engine
    from assembler.model.place import Place
    from assembler.places.world import World


def load(place: Place, name: str | None, engine: Engine, world: World, *, copy_base_layers: bool) -> list[LoadedImage]:
    """Loads the image called ``name``, or all that are at ``place``, each under all its names.

    The layers of a base that was not pulled are the engine's own where it has them; from its registry they come only
    with ``copy_base_layers``.
    """
    with open_place(place, world) as found:
        images = [held.for_platform(engine.info.platform) for held in found.images(name)]
        for held in images:
            held.warn_of_another(engine.info.platform)
        return [
            into_engine(held, [one for one in held.references if one.tag], engine, world, copy_far=copy_base_layers)
            for held in images
        ]
