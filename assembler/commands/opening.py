"""One image out of wherever it is: its manifest and config, and its layers as streams."""

from __future__ import annotations

import hashlib
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from assembler.errors import ImageError
from assembler.image.image import Image, read_image
from assembler.image.layout import Layout
from assembler.image.load import read_archive
from assembler.layer.compress import compressor
from assembler.layer.pieces import Pieces
from assembler.model.digest import Digest
from assembler.model.place import Place, Store
from assembler.registry.reading import stream_blob

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from assembler.commands.registries import Registries
    from assembler.engine.client import Engine
    from assembler.image.load import Loaded
    from assembler.layer.read import Readable
    from assembler.model.oci import Descriptor
    from assembler.model.place import EngineName
    from assembler.model.platform import Platform
    from assembler.registry.repository import Repository


@dataclass(frozen=True, slots=True)
class Opened:
    """``layer`` opens a layer's blob; its bytes are checked when they were read to their end."""

    name: str
    image: Image
    layer: Callable[[Descriptor], AbstractContextManager[Readable]]


@dataclass(frozen=True, slots=True)
class Opener:
    """``engine`` connects to one by its name, ``spool`` is a directory for what an archive's layers are unpacked from.

    ``platform`` chooses from an index of images.
    """

    registries: Registries
    engine: Callable[[EngineName], Engine]
    spool: Path
    platform: Platform | None = None

    @contextmanager
    def open(self, place: Place, name: str | None = None) -> Iterator[Opened]:
        """``name`` chooses from several images in a layout or an archive."""
        if place.store is Store.REGISTRY:
            with self.registries.repository(place.reference) as repository:
                image = self.registries.image(place.reference, self.platform)
                yield Opened(str(place), image, lambda blob: _from_registry(repository, blob))
        elif place.store is Store.LAYOUT:
            layout = Layout.open(place.path)
            image = read_image(layout, name or place.name, self.platform)
            yield Opened(str(place), image, lambda blob: _from_layout(layout, blob))
        else:
            with self._unpacked(place, name) as opened:
                yield opened

    @contextmanager
    def _unpacked(self, place: Place, name: str | None) -> Iterator[Opened]:
        """An archive's layers stand before what says whose they are, so they are kept until then."""
        self.spool.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self.spool, prefix="archive-") as directory:
            layout = Layout.create(self.spool / directory)
            with self._archive(place) as archive:
                loaded = read_archive(archive, layout, lambda: compressor("none"))
            image = _chosen(loaded, name, place).image
            yield Opened(str(place), image, lambda blob: _from_layout(layout, blob))

    def _archive(self, place: Place) -> AbstractContextManager[Readable]:
        if place.engine is not None:
            engine = self.engine(place.engine)
            return engine.images.save(place.where)
        try:
            return place.path.open("rb")
        except OSError as error:
            raise ImageError(f"{place} can't be read: {error.strerror}") from error


def _chosen(loaded: list[Loaded], name: str | None, place: Place) -> Loaded:
    found = [one for one in loaded if name is None or name in map(str, one.references)]
    if len(found) == 1:
        return found[0]
    names = ", ".join(str(reference) for one in loaded for reference in one.references) or "none with a name"
    raise ImageError(f"{place} holds {'no image' if not found else 'more than one image'}"
                     + (f" named {name}" if name else ""), hint=f"It holds: {names}. Choose one with --image.")


@contextmanager
def _from_layout(layout: Layout, blob: Descriptor) -> Iterator[Readable]:
    with layout.open_blob(blob.digest) as file:
        checked = _Checked(file, blob)
        yield checked
        checked.finish()


@contextmanager
def _from_registry(repository: Repository, blob: Descriptor) -> Iterator[Readable]:
    yield Pieces(stream_blob(repository, blob))


class _Checked:
    """A blob's bytes, which must be what the descriptor says when all of them were read."""

    def __init__(self, stream: Readable, blob: Descriptor) -> None:
        self._stream = stream
        self._blob = blob
        self._hash = hashlib.new(blob.digest.algorithm)

    def read(self, size: int, /) -> bytes:
        data = self._stream.read(size)
        self._hash.update(data)
        return data

    def finish(self) -> None:
        while self.read(1 << 20):
            pass
        if Digest(self._hash.name, self._hash.hexdigest()) != self._blob.digest:
            raise ImageError(f"the blob {self._blob.digest} is not what its name says",
                             hint="It was damaged or changed; get the image again.")
