"""``imgasm copy``: copies an image from any place to any other.

From registry to registry nothing touches the disk, and what the target can mount is not even read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from assembler.model.place import Store
from assembler.places.open import open_place
from assembler.places.put import PutOptions, put

if TYPE_CHECKING:
    from assembler.model.digest import Digest
    from assembler.model.place import Place
    from assembler.places.world import World


def copy(source: Place, name: str | None, target: Place, world: World, options: PutOptions) -> Digest:
    """The digest of the manifest or index that ``target`` holds now. ``name`` chooses one image of ``source``.

    Layers that lie uncompressed in an archive or engine are compressed for a registry or layout.
    """
    codec = "none" if target.store in (Store.ARCHIVE, Store.ENGINE) else "gzip"
    platform = options.platform or world.platform
    with open_place(source, world, codec) as found:
        return put(found.one(name, platform), target, world, options)
