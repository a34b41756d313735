"""``imgasm copy``: an image from where it is to where it shall be, whatever these two are.

From registry to registry nothing touches the disk, and what the target can mount is not even read.
"""

from __future__ import annotations

import os
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from assembler.commands import cargo as cargos
from assembler.commands.cargo import Cargo
from assembler.commands.fill import adopt, fill
from assembler.commands.load import load_cargo
from assembler.commands.scratch import scratch_layout
from assembler.errors import ImageError, UsageError
from assembler.image.annotations import FULL_NAME
from assembler.image.archive import write_archive
from assembler.image.documents import closure
from assembler.image.image import read_image
from assembler.image.layout import Layout
from assembler.image.load import read_archive
from assembler.layer.compress import compressor
from assembler.model import media
from assembler.model.oci import Descriptor
from assembler.model.place import Store
from assembler.model.reference import Reference
from assembler.registry.reading import fetch_manifest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from assembler.commands.registries import Registries
    from assembler.engine.client import Engine
    from assembler.layer.read import Readable
    from assembler.model.digest import Digest
    from assembler.model.place import EngineName, Place
    from assembler.model.platform import Platform
    from assembler.progress import Progress
    from assembler.registry.push import PushOptions


@dataclass(frozen=True, slots=True)
class Taken:
    """What is copied, and what it was called."""

    cargo: Cargo
    names: tuple[Reference, ...]


@dataclass(frozen=True, slots=True)
class Copier:
    """``platform`` chooses one image of an index, which else is copied whole; ``machine`` chooses for archives and
    engines, which hold single images. Blobs that must lie somewhere meanwhile lie below ``scratch``.
    ``copy_base_layers`` is for layouts that lack their base's layers.
    """

    registries: Registries
    engine: Callable[[EngineName], Engine]
    scratch: Path
    progress: Progress
    options: PushOptions
    machine: Platform
    platform: Platform | None = None
    copy_base_layers: bool = False

    def copy(self, source: Place, target: Place) -> Digest:
        """The digest of the manifest or index that ``target`` holds now."""
        single = target.store in (Store.ARCHIVE, Store.ENGINE)
        platform = self.platform or (self.machine if single else None)
        far = self.copy_base_layers or source.store is Store.REGISTRY
        with self._store(target) as store, self._take(source, platform, single) as taken:
            if target.store is Store.REGISTRY:
                return self._to_registry(taken.cargo, target.reference, far)
            cargo = fill(taken.cargo, store, self.registries, self.progress, copy_far=far)
            whole = Taken(cargo, taken.names)
            if target.store is Store.LAYOUT:
                return _to_layout(whole, store, target.name)
            if target.store is Store.ARCHIVE:
                return _to_archive(whole, target.path)
            assert target.engine is not None
            load_cargo(whole.cargo, Reference.parse(target.where), self.engine(target.engine), self.progress)
            return whole.cargo.last.descriptor.digest

    @contextmanager
    def _store(self, target: Place) -> Iterator[Layout]:
        """Where blobs arrive: at once where they shall stay, if that is a layout."""
        if target.store is Store.LAYOUT:
            yield Layout.create(target.path)
            return
        with scratch_layout(self.scratch) as store:
            yield store

    # -- from ----------------------------------------------------------------------------------------------------------

    @contextmanager
    def _take(self, source: Place, platform: Platform | None, single: bool) -> Iterator[Taken]:
        if source.store is Store.REGISTRY:
            yield self._from_registry(source.reference.with_default_tag(), platform)
        elif source.store is Store.LAYOUT:
            yield _from_layout(Layout.open(source.path), source.name, platform)
        else:
            with scratch_layout(self.scratch) as store, self._open_archive(source) as archive:
                yield _from_archive(source, archive, store, "none" if single else "gzip")

    def _from_registry(self, reference: Reference, platform: Platform | None) -> Taken:
        """The documents; their blobs stay where they are until somebody wants them."""
        origins = (Reference(reference.registry, reference.repository),)
        names = (replace(reference, digest=None),) if reference.tag else ()
        if platform is not None:
            image = self.registries.image(reference, platform)
            return Taken(replace(cargos.of_image(image, None), origins=origins), names)
        with self.registries.repository(reference) as repository:
            root = fetch_manifest(repository, reference.identifier)
            found = {root.descriptor.digest: root.data}

            def read(descriptor: Descriptor) -> bytes:
                known = found.get(descriptor.digest)
                return known if known is not None else fetch_manifest(repository, str(descriptor.digest)).data

            return Taken(Cargo(tuple(closure(root.descriptor, read)), None, origins), names)

    def _open_archive(self, source: Place) -> AbstractContextManager[Readable]:
        if source.engine is not None:
            return self.engine(source.engine).images.save(source.where)
        try:
            return source.path.open("rb")
        except OSError as error:
            raise ImageError(f"{source} can't be read: {error.strerror}") from error

    # -- to ------------------------------------------------------------------------------------------------------------

    def _to_registry(self, cargo: Cargo, reference: Reference, far: bool) -> Digest:
        reference = reference.with_default_tag()
        digest = cargo.last.descriptor.digest
        if reference.digest not in (None, digest):
            raise UsageError(f"{reference} is to be {digest}", hint="Leave the digest out: it follows from the image.")
        tags = {digest: (reference.tag,)} if reference.tag else {}
        cargos.send([cargo], reference, tags, self.registries, self.progress, self.options, copy_far=far)
        return digest


def _from_layout(layout: Layout, name: str | None, platform: Platform | None) -> Taken:
    listed = layout.find(name)
    called = listed.annotations.get(FULL_NAME)
    names = (Reference.parse(called),) if called else ()
    if platform is None or listed.media_type not in media.INDEXES:
        return Taken(cargos.of_layout(layout, listed), names)
    return Taken(cargos.of_image(read_image(layout, listed, platform), layout, listed), names)


def _from_archive(source: Place, archive: Readable, store: Layout, codec: str) -> Taken:
    loaded = read_archive(archive, store, lambda: compressor(codec))
    if len(loaded) != 1:
        raise ImageError(f"{source} holds {len(loaded)} images", hint="Save the one that is meant by itself.")
    return Taken(cargos.of_image(loaded[0].image, store), loaded[0].references)


def _to_layout(taken: Taken, layout: Layout, name: str | None) -> Digest:
    """Under ``name``, a tag or a reference, by default under what it was called; without either it is only listed."""
    cargo = taken.cargo
    adopt(cargo, layout)
    for document in cargo.documents:
        layout.put_bytes(document.descriptor.media_type, document.data)
    last = cargo.last.descriptor
    listed = Descriptor(last.media_type, last.digest, last.size)
    names = [_named(name, taken.names)] if name else taken.names
    for reference in names:
        layout.tag(listed, reference)
    if not names:
        layout.add(listed)
    return last.digest


def _named(name: str, former: tuple[Reference, ...]) -> Reference:
    """A bare tag is one more of what the image was called."""
    if "/" in name or ":" in name:
        return Reference.parse(name)
    known = former[0].name if former else "localhost/image"
    return Reference.parse(f"{known}:{name}")


def _to_archive(taken: Taken, path: Path) -> Digest:
    """The file is there when it is whole."""
    image, store = taken.cargo.image, taken.cargo.store
    assert image is not None and store is not None
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}-", delete=False) as file:
        try:
            write_archive(store, [(image, taken.names)], file)
            os.fchmod(file.fileno(), 0o644)
            os.replace(file.name, path)
        except BaseException:
            Path(file.name).unlink(missing_ok=True)
            raise
    return image.descriptor.digest
