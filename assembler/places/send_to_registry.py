"""Into a registry: any number of images, and the index over them, at once."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from assembler.image.artifact import is_elsewhere
from assembler.registry.push import BlobToPush, ManifestToPush, PushPlan, push

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from assembler.image.manifests import RawManifest
    from assembler.model.descriptor import Descriptor
    from assembler.model.digest import Digest
    from assembler.model.reference import Reference
    from assembler.places.held_image import HeldImage
    from assembler.places.registries import Registries
    from assembler.places.world import World
    from assembler.registry.push import PushOptions, PushReport
    from assembler.registry.repository import Repository


@dataclass(frozen=True, slots=True)
class Shipment:
    """What goes into ``target``'s repository at once. ``index`` is over ``images``, and there after them.

    ``tags`` are by the digest of what they lead to.
    """

    images: Sequence[HeldImage]
    target: Reference
    tags: Mapping[Digest, tuple[str, ...]]
    index: RawManifest | None = None


def send(shipment: Shipment, world: World, options: PushOptions, *, copy_far: bool) -> PushReport:
    """Puts ``shipment`` where it goes.

    Blobs that are not here are mounted; with ``copy_far`` those that can't be are copied, without touching the disk.
    """
    target, images = shipment.target, shipment.images
    near = [origin.repository for held in images for origin in held.origins if origin.registry == target.registry]
    options = replace(options, mount_from=tuple(dict.fromkeys((*options.mount_from, *near))))
    with world.registries.client(target, pushing=True) as client, ExitStack() as connections:
        finder = _Finder(world.registries, connections)
        blobs = [blob for held in images for blob in _blobs(held, finder, copy_far)]
        documents = [one for held in images for one in held.documents]
        manifests = [
            ManifestToPush(one.descriptor, one.data, shipment.tags.get(one.descriptor.digest, ()))
            for one in (*documents, *([shipment.index] if shipment.index is not None else []))
        ]
        return push(client, target.repository, PushPlan(blobs, manifests), world.progress, options)


def _blobs(held: HeldImage, finder: _Finder, copy_far: bool) -> Iterator[BlobToPush]:
    """Those that may stay where their urls say are sent only from where they are."""
    for blob in held.blobs:
        path, optional = held.path(blob), is_elsewhere(blob)
        look = path is None and (copy_far or optional or held.sources)
        remote = finder.find(blob, held.sources if optional else held.origins) if look else None
        if path is not None or remote is not None or not optional:
            yield BlobToPush(blob, path, remote)


class _Finder:
    """Looks for blobs in other repositories, over connections that stay open until the push is done."""

    def __init__(self, registries: Registries, connections: ExitStack) -> None:
        self._registries = registries
        self._connections = connections
        self._open: dict[Reference, Repository] = {}

    def find(self, blob: Descriptor, origins: Sequence[Reference]) -> Repository | None:
        return next((place for place in map(self._repository, origins) if place.has_blob(blob)), None)

    def _repository(self, origin: Reference) -> Repository:
        if origin not in self._open:
            self._open[origin] = self._connections.enter_context(self._registries.repository(origin))
        return self._open[origin]
