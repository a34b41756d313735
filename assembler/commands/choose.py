"""``imgasm choose``: the image of an index that is for a machine. Of a registry nothing but the index is read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from assembler.errors import ImageError, ModulesRefused
from assembler.image.choose_kernel import Node, choose_for
from assembler.model.place import Store
from assembler.places.open import open_place

if TYPE_CHECKING:
    from assembler.model.descriptor import Descriptor
    from assembler.model.place import Place
    from assembler.places.world import World


@dataclass(frozen=True, slots=True)
class Chosen:
    """``place`` is where ``entry`` is. ``is_fallback``: it was named for a machine that no image is for."""

    place: Place
    entry: Descriptor
    is_fallback: bool = False

    @property
    def name(self) -> str:
        """What to pull; of a layout the digest alone."""
        digest = str(self.entry.digest)
        return f"{self.place.reference.name}@{digest}" if self.place.store is Store.REGISTRY else digest


def choose(place: Place, node: Node, fallback: Place | None, world: World) -> Chosen:
    """ModulesRefused where none is for ``node`` and no ``fallback`` is named; ImageError for what is no index."""
    with open_place(place, world) as found:
        held = found.one()
        if not held.root.is_index:
            raise ImageError(f"{place} is a single image, and no index",
                             hint="imgasm index makes one of several images.")
        try:
            return Chosen(place, choose_for(held.root.children(), node, str(place)))
        except ModulesRefused as error:
            if fallback is None:
                raise
            world.progress.warn(f"{error.message}: taking {fallback}")
    with open_place(fallback, world) as found:
        return Chosen(fallback, found.one().entries[0], is_fallback=True)
