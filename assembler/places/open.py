"""The one door in: what is at a place, read in the same way wherever that is."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from assembler.errors import ImageError
from assembler.image import strict_json
from assembler.image.image import image_of
from assembler.image.index_entries import entry_called, find, group, with_platforms
from assembler.image.layout import Layout
from assembler.image.manifests import RawManifest
from assembler.image.read_archive import read_archive
from assembler.layer.compress import compressor
from assembler.model import media_types
from assembler.model.place import Store
from assembler.model.reference import Reference
from assembler.places.held_image import HeldImage
from assembler.places.temporary_layout import temporary_layout
from assembler.registry.pull import fetch_manifest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    from assembler.image.manifests import Read
    from assembler.layer.read_tar import Readable
    from assembler.model.descriptor import Descriptor
    from assembler.model.place import Place
    from assembler.model.platform import Platform
    from assembler.places.registries import Registries
    from assembler.places.world import World
    from assembler.registry.repository import Repository


@dataclass(frozen=True, slots=True)
class Found:
    """All images that a place holds: what index.json lists, or what it would list."""

    place: Place
    entries: tuple[Descriptor, ...]
    read: Read = field(repr=False)
    registries: Registries = field(repr=False)
    store: Layout | None = None
    repository: Repository | None = None

    def one(self, name: str | None = None, platform: Platform | None = None) -> HeldImage:
        """The one image that is meant: by ``name``, by the place's own, or because there is no other.

        ``platform`` chooses among several; an index is not looked into (:meth:`HeldImage.for_platform`). ImageError
        that lists what there is.
        """
        name = name or self.place.name
        several = len(group(self.entries)) > 1
        entries = with_platforms(self.entries, self._platform) if several and platform is not None else self.entries
        found = find(entries, name, platform, str(self.place), " Choose one with --image.")
        digest = found[0].digest
        return self._held(tuple(entry for entry in self.entries if entry.digest == digest and (
            name is None or any(entry.annotations == one.annotations for one in found))))

    def images(self, name: str | None = None) -> list[HeldImage]:
        """All of them, or the one called ``name``. ImageError where there is none."""
        if name or self.place.name:
            return [self.one(name)]
        if not self.entries:
            raise ImageError(f"{self.place} holds no image", hint="Build or copy one into it first.")
        return [self._held(entries) for entries in group(self.entries)]

    def _held(self, entries: tuple[Descriptor, ...]) -> HeldImage:
        reference = self.place.reference if self.place.store is Store.REGISTRY else None
        sources = (_bare(reference),) if reference is not None else ()
        return HeldImage(str(self.place), entries, self.read, self.registries, self.store, sources, self.repository)

    def _platform(self, entry: Descriptor) -> Platform | None:
        """What an image's config says, where that is here."""
        if entry.media_type not in media_types.MANIFESTS or self.store is None or not self.store.has(entry):
            return None
        found = RawManifest(entry, self.read(entry))
        if found.artifact is not None or not self.store.has(found.config):
            return None
        return image_of(found, self.store.read(found.config, strict_json.CONFIG_CAP)).platform


@contextmanager
def open_place(place: Place, world: World, codec: str = "none") -> Iterator[Found]:
    """What is at ``place``, for as long as the context lives.

    Layers that lie uncompressed in an archive or engine are read as ``codec``: none, gzip or zstd.
    """
    if place.store is Store.REGISTRY:
        with world.registries.repository(place.reference) as repository:
            yield in_registry(place, repository, world.registries)
    elif place.store is Store.LAYOUT:
        layout = Layout.open(place.path)
        yield Found(place, layout.index(), layout.read, world.registries, layout)
    else:
        with temporary_layout(world.cache) as layout:
            with _archive(place, world) as stream:
                of_engine = place.store is Store.ENGINE
                entries = read_archive(stream, layout, lambda: compressor(codec), of_engine=of_engine)
            yield Found(place, tuple(entries), layout.read, world.registries, layout)


def in_registry(place: Place, repository: Repository, registries: Registries) -> Found:
    """Of what is in a registry nothing is read but what is asked for."""
    reference = place.reference.with_default_tag()
    root = fetch_manifest(repository, reference.identifier)
    known = {root.descriptor.digest: root.data}

    def read(descriptor: Descriptor) -> bytes:
        if descriptor.digest not in known:
            known[descriptor.digest] = fetch_manifest(repository, str(descriptor.digest)).data
        return known[descriptor.digest]

    entry = entry_called(root.descriptor, replace(reference, digest=None))
    return Found(place, (entry,), read, registries, repository=repository)


def _archive(place: Place, world: World) -> AbstractContextManager[Readable]:
    if place.engine is not None:
        return world.engine(place.engine).images.save(place.where)
    try:
        return place.path.open("rb")
    except OSError as error:
        raise ImageError(f"{place} can't be read: {error.strerror}") from error


def _bare(reference: Reference) -> Reference:
    return Reference(reference.registry, reference.repository)
