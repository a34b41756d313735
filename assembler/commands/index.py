"""``imgasm index``: one index over images that are somewhere already, out of their manifests and configs alone."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

from assembler.errors import ImageError, UsageError
from assembler.image.assemble import store_image
from assembler.image.blob_origins import with_origins
from assembler.image.compose_index import compose_index
from assembler.image.layout import Layout
from assembler.image.signpost import is_signpost, with_signposts
from assembler.model.place import Store
from assembler.places.held_image import HeldImage
from assembler.places.open import open_place
from assembler.places.put import entries_at
from assembler.places.send_to_registry import Shipment, send
from assembler.places.temporary_layout import temporary_layout
from assembler.registry.push import PushOptions

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from assembler.image.manifests import RawManifest
    from assembler.model.place import Place
    from assembler.places.world import World


@dataclass(frozen=True, slots=True)
class Over:
    """An index, and the images that it lists, in its order; the signposts among them."""

    index: RawManifest
    images: list[HeldImage]


@dataclass(frozen=True, slots=True)
class Indexed:
    """``sent`` are the bytes of blobs that went to the registry: none of those that were mounted."""

    index: RawManifest
    sent: int


def index(target: Place, sources: Sequence[Place], world: World, *, copy_far: bool = False) -> Indexed:
    """Puts an index over all images of ``sources`` at ``target``. The same images give the same index.

    Of a registry only manifests and configs are read. Layers stay where they are: a registry mounts them from another
    of its repositories, a layout says where they are. Only what is in another registry, or here, has to be sent; with
    ``copy_far`` also what a layout lacks of a base.
    """
    with ExitStack() as stack:
        places = [stack.enter_context(open_place(place, world, "gzip")) for place in sources]
        found = over((held for place in places for held in place.images()),
                     stack.enter_context(temporary_layout(world.cache)))  # fmt: skip
        if target.store is Store.REGISTRY:
            return Indexed(found.index, _into_registry(found, target, world, copy_far=copy_far))
        if target.store is Store.LAYOUT:
            _into_layout(found, target, world)
            return Indexed(found.index, 0)
    raise UsageError(f"{target} can't hold an index without its layers",
                     hint="Name a reference in a registry, or a layout; imgasm copy makes an archive of that.")


def over(helds: Iterable[HeldImage], store: Layout) -> Over:
    """An index over ``helds`` and the images of indexes among them. ``store`` gets what it needs besides."""
    known = {held.digest: held for one in helds for held in one.members() if not is_signpost(held.image)}
    if not known:
        raise ImageError("there is no image to make an index of", hint="Build or push one first.")
    registries = next(iter(known.values())).registries
    images = with_signposts((held.image for held in known.values()), store)
    listed = [known.get(one.descriptor.digest) or HeldImage.in_layout(store, one, registries) for one in images]
    return Over(compose_index(images), listed)


def _into_registry(found: Over, target: Place, world: World, *, copy_far: bool) -> int:
    reference = target.reference.with_default_tag()
    if reference.digest not in (None, found.index.descriptor.digest):
        raise UsageError(f"{reference} is to be {found.index.descriptor.digest}",
                         hint="Leave the digest out: it follows from the images.")
    tags = {found.index.descriptor.digest: (reference.tag,)} if reference.tag else {}
    shipment = Shipment(found.images, reference, tags, found.index)
    return send(shipment, world, PushOptions(), copy_far=copy_far).sent


def _into_layout(found: Over, target: Place, world: World) -> None:
    """Whatever has its layers elsewhere leaves them there."""
    layout = Layout.create(target.path)
    for held in found.images:
        held.bring(layout)
        store_image(layout, held.image)
    root = layout.put_bytes(found.index.descriptor.media_type, found.index.data)
    origins = dict.fromkeys(origin for held in found.images if held.far for origin in held.origins)
    listed = HeldImage(str(target), (with_origins(root, origins),), layout.read, world.registries, layout)
    for entry in entries_at(target, listed):
        layout.add(entry)
