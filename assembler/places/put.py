"""The one door out: an image into a place, with its names, its annotations, and all that its documents lead to."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from assembler.atomic_files import whole_file
from assembler.errors import ImageError, UsageError
from assembler.image.annotations import FULL_NAME, REF_NAME
from assembler.image.index_entries import entry_called
from assembler.image.layout import Layout
from assembler.image.write_archive import write_as_it_is
from assembler.model.place import Store
from assembler.model.reference import Reference
from assembler.places.load_into_engine import into_engine
from assembler.places.send_to_registry import Shipment, send
from assembler.places.temporary_layout import temporary_layout
from assembler.registry.push import PushOptions

if TYPE_CHECKING:
    from assembler.image.image import Image
    from assembler.model.descriptor import Descriptor
    from assembler.model.digest import Digest
    from assembler.model.place import Place
    from assembler.model.platform import Platform
    from assembler.places.held_image import HeldImage
    from assembler.places.world import World


@dataclass(frozen=True, slots=True)
class PutOptions:
    """``platform`` chooses one image of an index, which else is put whole wherever a place can hold one. ``copy_far``
    allows to get from registries what a layout lacks of an image."""

    platform: Platform | None = None
    copy_far: bool = False


def put(held: HeldImage, place: Place, world: World, options: PutOptions) -> Digest:
    """The digest of the manifest or index that ``place`` holds now."""
    if options.platform is not None:
        held = held.for_platform(options.platform)
    if place.store is Store.REGISTRY:
        return _into_registry(held, place.reference.with_default_tag(), world, options)
    if place.store is Store.LAYOUT:
        return _into_layout(held, place, world, options)
    if place.store is Store.ENGINE:
        return _into_engine(held, place, world, options)
    one = held.for_platform(options.platform or world.platform) if place.for_docker else held
    with temporary_layout(world.cache) as store:
        return _into_archive(one.whole(store, world.progress, copy_far=options.copy_far), place, world)


def _into_registry(held: HeldImage, reference: Reference, world: World, options: PutOptions) -> Digest:
    if reference.digest not in (None, held.digest):
        raise UsageError(f"{reference} is to be {held.digest}", hint="Leave the digest out: it follows from the image.")
    tags = {held.digest: (reference.tag,)} if reference.tag else {}
    send(Shipment([held], reference, tags), world, PushOptions(), copy_far=options.copy_far)
    return held.digest


def _into_engine(held: HeldImage, place: Place, world: World, options: PutOptions) -> Digest:
    assert place.engine is not None
    engine = world.engine(place.engine)
    one = held.for_platform(options.platform or engine.info.platform)
    names = _names_for_engine(one, Reference.parse(place.where), world)
    return into_engine(one, names, engine, world, copy_far=options.copy_far).digest


def _into_layout(held: HeldImage, place: Place, world: World, options: PutOptions) -> Digest:
    """Blobs arrive at once where they should stay."""
    layout = Layout.create(place.path)
    held = held.whole(layout, world.progress, copy_far=options.copy_far)
    held.bring(layout)
    for one in held.documents:
        layout.put_bytes(one.descriptor.media_type, one.data)
    for entry in entries_at(place, held):
        layout.add(entry)
    return held.digest


def _into_archive(held: HeldImage, place: Place, world: World) -> Digest:
    """The file is there when it is whole."""
    path, store = place.path, held.store
    assert store is not None
    image = held.image if place.for_docker else _for_docker(held, world.platform)
    with whole_file(path) as file:
        write_as_it_is(store, held.documents, entries_at(place, held), image, file)
    return held.digest


def _for_docker(held: HeldImage, platform: Platform) -> Image | None:
    """The image that an engine reads which knows no index; None for what is not an image."""
    try:
        return held.for_platform(platform).image
    except ImageError:
        return None


# Names


def entries_at(place: Place, held: HeldImage) -> tuple[Descriptor, ...]:
    """``held`` as index.json lists it there: under the place's name, by default under those that it has.

    A name is written as it was given, for skopeo and podman look for that. A bare tag is one more of what the image was
    called.
    """
    name = place.name
    if name is None:
        return held.entries
    entry = held.entries[0]
    kept = {key: text for key, text in entry.annotations.items() if key not in (FULL_NAME, REF_NAME)}
    plain = replace(entry, annotations=kept)
    if place.for_docker or "/" in name or ":" in name:
        reference = Reference.parse(name).with_default_tag()
        if reference.tag is None:
            raise UsageError(f"{place}: a name in an archive or a layout has a tag, and no digest alone",
                             hint="Leave the name out, or give it a tag.")
        listed = entry_called(plain, reference)
        text = reference.tag if place.for_docker else name
        return (replace(listed, annotations={**listed.annotations, REF_NAME: text}),)
    former = next(iter(held.references), None)
    if former is not None:
        return (entry_called(plain, Reference(former.registry, former.repository, name)),)
    return (replace(plain, annotations={**kept, REF_NAME: name}),)


def _names_for_engine(held: HeldImage, reference: Reference, world: World) -> list[Reference]:
    """``latest`` is what engines mean by a name alone; one with a digest names no image that was loaded."""
    if reference.digest not in (None, held.digest):
        raise UsageError(f"{reference} is to be {held.digest}", hint="Leave the digest out: it follows from the image.")
    reference = reference.with_default_tag()
    if reference.tag is None:
        world.progress.say(f"{reference} has a digest and no tag, so the image is loaded without a name")
    return [replace(reference, digest=None)] if reference.tag else []
