"""``imgasm copy``: copies an image from any place to any other.

From registry to registry nothing touches the disk, and what the target can mount is not even read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from assembler.model.place import Store
from assembler.places.attachments import attaching, read_attached
from assembler.places.open import open_place
from assembler.places.put import PutOptions, put

if TYPE_CHECKING:
    from assembler.model.digest import Digest
    from assembler.model.place import Place
    from assembler.places.held_image import HeldImage
    from assembler.places.world import World
    from assembler.registry.repository import Repository


def copy(source: Place, name: str | None, target: Place, world: World, options: PutOptions) -> Digest:
    """The digest of the manifest or index that ``target`` holds now. ``name`` chooses one image of ``source``.

    What is signed about it goes along from registry to registry. Layers that lie uncompressed in an archive or engine
    are compressed for a registry or layout.
    """
    codec = "none" if target.store in (Store.ARCHIVE, Store.ENGINE) else "gzip"
    platform = options.platform or world.platform
    with open_place(source, world, codec) as found:
        held = found.one(name, platform)
        if found.repository is not None:
            _take_along(held, found.repository, target, world, options)
        return put(held, target, world, options)


def _take_along(held: HeldImage, source: Repository, target: Place, world: World, options: PutOptions) -> None:
    """Signatures and attestations, into a registry, before a tag there leads to the image."""
    chosen = held if options.platform is None else held.for_platform(options.platform)
    attached = {one.descriptor.digest: read_attached(source, one.descriptor.digest) for one in chosen.documents}
    if not any(attached.values()):
        return
    if target.store is not Store.REGISTRY:
        world.progress.say(f"the signatures and attestations of {held.place} stay behind: only a registry holds them")
        return
    with attaching(target.reference, world) as attacher:
        for digest, found in attached.items():
            attacher.take_over(found, digest, source)
    world.progress.say("its signatures and attestations go along; they name the place that they were made for")
