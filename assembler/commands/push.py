"""``imgasm push``: images into their registries."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from assembler.commands.attest_in_index import with_statements
from assembler.commands.attestations import NOTHING
from assembler.commands.index import over
from assembler.commands.sign import sign_shipment
from assembler.errors import UsageError
from assembler.image.docker_types import as_docker
from assembler.image.index_entries import called, name_of
from assembler.image.recompress import recompress
from assembler.model import media_types
from assembler.model.reference import Reference
from assembler.places.open import Found, open_place
from assembler.places.send_to_registry import Shipment, send
from assembler.places.temporary_layout import temporary_layout

if TYPE_CHECKING:
    from collections.abc import Sequence

    from assembler.commands.attestations import Attesting, Predicates
    from assembler.image.image import Image
    from assembler.image.layout import Layout
    from assembler.model.place import Place
    from assembler.places.held_image import HeldImage
    from assembler.places.world import World
    from assembler.registry.push import PushOptions, PushReport
    from assembler.trust.keys import PrivateKey


@dataclass(frozen=True, slots=True)
class Wanted:
    """``destination`` is a reference, by default the one that each image was built for; ``name`` one image of the
    layout, by default all.

    ``tags`` are given besides the reference's own. ``index`` is the reference of an index over all that is pushed.
    ``compression`` converts layers on the way, ``docker`` the manifest: the layout stays what it is.
    ``copy_base_layers`` allows to copy from other registries what the layout lacks and no registry can mount.
    ``key`` signs all of it and what is attested of it, before a tag leads there.
    """

    destination: str | None = None
    name: str | None = None
    tags: tuple[str, ...] = ()
    index: str | None = None
    compression: str | None = None
    docker: bool = False
    copy_base_layers: bool = False
    key: PrivateKey | None = None
    attesting: Attesting = NOTHING


@dataclass(frozen=True, slots=True)
class Pushed:
    """``reference`` is what to pull; ``report`` says what went over the wire."""

    reference: Reference
    report: PushReport


def push(place: Place, wanted: Wanted, world: World, options: PushOptions) -> list[Pushed]:
    """Pushes what is ``wanted`` of what is at ``place``."""
    with open_place(place, world, "gzip") as found, ExitStack() as stack:
        chosen = _chosen(found, wanted, world)
        convert = _Converter(wanted, world, stack)
        images = [convert.converted(held) for held in chosen]
        predicates = wanted.attesting.predicates(place, zip(chosen, images, strict=True))
        if wanted.index is not None:
            store = stack.enter_context(temporary_layout(world.cache))
            shipments = [_with_index(images, predicates, wanted, world, store)]
        else:
            shipments = _one_by_one(images, wanted)
        return [_ship(one, predicates, wanted, world, options) for one in shipments]


def _ship(
    shipment: Shipment, predicates: Predicates, wanted: Wanted, world: World, options: PushOptions
) -> Pushed:
    if wanted.key is not None:
        sign_shipment(shipment, predicates, wanted.key, world)
    return Pushed(shipment.target, send(shipment, world, options, copy_far=wanted.copy_base_layers))


def _chosen(found: Found, wanted: Wanted, world: World) -> list[HeldImage]:
    """All images, or the one that is meant: where one is sent to a reference, that can tell which."""
    if wanted.name or not wanted.destination:
        return found.images(wanted.name)
    images = found.images()
    if len(images) == 1:
        return images
    own = Reference.parse(wanted.destination).repository.rpartition("/")[2]
    alike = called(found.entries, own)
    if len({entry.digest for entry in alike}) != 1:
        return [found.one()]  # which says what there is to choose from
    world.progress.say(f"pushing {own}, one of {len(images)} images, because {wanted.destination} has its name; "
                       "--image chooses another")
    return [found.one(own)]


def _one_by_one(images: Sequence[HeldImage], wanted: Wanted) -> list[Shipment]:
    if len(images) > 1 and wanted.tags:
        raise UsageError(f"--tag is for one image, and {images[0].place} holds {len(images)}",
                         hint="Choose one with --image.")
    shipments = []
    for held in images:
        for target in [Reference.parse(wanted.destination)] if wanted.destination else _own_references(held):
            tagged = target.with_default_tag()
            shipments.append(Shipment([held], tagged, {held.digest: _tags(tagged, wanted)}))
    return shipments


def _with_index(
    images: Sequence[HeldImage], predicates: Predicates, wanted: Wanted, world: World, store: Layout
) -> Shipment:
    """All images into the index's repository; those that were built for that one keep their own tags there."""
    target = Reference.parse(wanted.index or "").with_default_tag()
    if wanted.destination or any(held.root.is_index for held in images):
        raise UsageError("--index makes an index over the images of a layout",
                         hint="Give its reference to --index alone, and choose images that are no index themselves.")
    found = over(images, store)
    if wanted.attesting.in_index:
        found = with_statements(found, predicates, [f"{target.name}:{tag}" for tag in _tags(target, wanted)], store)
    tags = {found.index.descriptor.digest: _tags(target, wanted)}
    for held in images:
        own = _in_a_registry(held)
        tags[held.digest] = tuple(one.tag for one in own if one.tag and one.name == target.name)
        if own and not tags[held.digest]:
            world.progress.say(f"{own[0]} keeps its tag for {own[0].name}: in {target.name} it is {held.digest}")
    return Shipment(found.images, target, tags, found.index)


def _tags(target: Reference, wanted: Wanted) -> tuple[str, ...]:
    for tag in wanted.tags:
        Reference.parse(f"{target.name}:{tag}")  # refuses what is not a tag
    return tuple(dict.fromkeys((*([target.tag] if target.tag else []), *wanted.tags)))


def _in_a_registry(held: HeldImage) -> list[Reference]:
    """The references that an image has already, without those of this machine only."""
    return [replace(one, digest=None) for one in held.references if one.tag and one.registry != "localhost"]


def _own_references(held: HeldImage) -> list[Reference]:
    found = _in_a_registry(held)
    if not found:
        called = name_of(held.entries[0]) or held.digest
        raise UsageError(
            f"the image {called} in {held.place} has no reference in a registry",
            hint="Give it one: reference = \"registry.example.com/team/image:tag\" in the recipe's [[image]], "
            "or imgasm push WHAT DEST.",
        )
    return found


class _Converter:
    """Images in another compression or form. Blobs that this makes live as long as ``stack``."""

    def __init__(self, wanted: Wanted, world: World, stack: ExitStack) -> None:
        self._wanted = wanted
        self._world = world
        self._stack = stack
        self._store: Layout | None = None

    def converted(self, held: HeldImage) -> HeldImage:
        if not (self._wanted.compression or self._wanted.docker):
            return held
        if held.root.is_index:
            raise UsageError(f"{held.digest} is an index, which can only be pushed as it is",
                             hint="Choose one of its images with --image and its digest.")
        held = self._in_codec(held)
        if not self._wanted.docker:
            return held
        assert held.store is not None
        return held.with_image(as_docker(held.image), held.store)

    def _in_codec(self, held: HeldImage) -> HeldImage:
        codec = self._codec(held.image)
        held = held if held.store is not None else held.whole(self._temporary(), self._world.progress, copy_far=True)
        if codec is None or held.store is None:
            return held
        with self._world.progress.task(f"layers as {codec}") as task:
            return held.with_image(
                recompress(held.store, held.image, self._temporary(), codec, advance=task.advance), self._temporary()
            )

    def _codec(self, image: Image) -> str | None:
        """Docker's manifests can't hold zstd, so that asking for one asks for gzip where zstd is."""
        if self._wanted.compression or not self._wanted.docker:
            return self._wanted.compression
        return "gzip" if any(layer.media_type == media_types.OCI_LAYER_ZSTD for layer, _ in image.layers) else None

    def _temporary(self) -> Layout:
        if self._store is None:
            self._store = self._stack.enter_context(temporary_layout(self._world.cache))
        return self._store
