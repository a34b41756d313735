"""Checkpoints on their way to and from other machines, through an OCI layout or a repository of a registry.

Each is an artifact (image-spec manifest.md, "Guidelines for Artifact Usage") under its key as its tag, its files being
the artifact's layers. Digests say that what arrives is what was put there. Whether that is what the steps make, nobody
can tell: who may write there decides what is in the images of those who read.
"""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, BinaryIO, Final

from assembler.commands.checkpoint_store import ABOUT, FILES, Limits, scratch_file
from assembler.errors import ImageError, ImgasmError, UsageError
from assembler.image.annotations import TITLE
from assembler.image.index_entries import called
from assembler.model import media_types
from assembler.model.descriptor import Descriptor, canonical_json
from assembler.model.place import Place, Store
from assembler.model.size import human
from assembler.places.held_image import HeldImage
from assembler.places.open import open_place
from assembler.places.temporary_layout import temporary_layout

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from assembler.commands.checkpoint_store import CheckpointStore, Stored
    from assembler.image.blob_writer import BlobWriter
    from assembler.image.layout import Layout
    from assembler.layer.read_tar import Readable
    from assembler.places.registries import Registries
    from assembler.places.world import World

_TYPE: Final = "application/vnd.imgasm.checkpoint.v1"
_FILE: Final = "application/vnd.imgasm.checkpoint.file.v1"
_ABOUT_CAP: Final = 64 << 20
"""Bytes; of 100,000 files it has 10 MB."""
_CHUNK: Final = 1 << 20


def shared_place(text: str) -> Place:
    """Where checkpoints of several machines are. UsageError for what is neither a layout nor a repository."""
    place = Place.target(text)
    if place.store is Store.LAYOUT and place.name is None:
        return place
    if place.store is Store.REGISTRY and place.reference == replace(place.reference, tag=None, digest=None):
        return place
    raise UsageError(f"{text} can't hold checkpoints", hint="Name a directory, or a repository without tag and digest.")


@dataclass(slots=True)
class SharedCheckpoints:
    """``sources`` are asked in their order, ``target`` gets what this build makes or starts from. A place that fails is
    told of once, and left alone from then on."""

    world: World
    store: CheckpointStore
    sources: list[Place] = field(default_factory=list)
    target: Place | None = None

    def fetch(self, key: str) -> bool:
        """Brings the checkpoint of that key into the store; False where nobody has it."""
        for place in list(self.sources):
            try:
                with _found(key, place, self.world) as held:
                    if held is not None:
                        self._take(held, key, place)
                        return True
            except ImgasmError as error:
                self.sources.remove(place)
                self.world.progress.warn(f"no checkpoint from {place}: {error.message}")
        return False

    def _take(self, held: HeldImage, key: str, place: Place) -> None:
        files = _files(held)
        size = sum(blob.size for blob in files.values())
        label = f"checkpoint of {human(size)} from {place}"
        with self.store.writing() as directory, self.world.progress.task(label, total=size) as task:
            for name, blob in files.items():
                with held.open_layer(blob, task.advance) as content, (directory / name).open("wb") as file:
                    _copy(content, file)
            self.store.admit(directory, key)
        self.world.progress.say(label)

    def offer(self, stored: Stored) -> None:
        """Puts a checkpoint into ``target``, if it is not there."""
        if self.target is None:
            return
        key = stored.checkpoint.key
        from assembler.places.put import PutOptions, put  # with httpx, a fifth of what a build without this imports

        try:
            with _found(key, self.target, self.world) as there:
                if there is not None:
                    return
            with temporary_layout(self.world.cache) as layout:
                held = _as_artifact(stored, layout, self.world.registries)
                put(held, _called(key, self.target), self.world, PutOptions())
            self.world.progress.say(f"checkpoint after step {stored.checkpoint.step} is in {self.target}")
        except ImgasmError as error:
            self.world.progress.warn(f"no checkpoint to {self.target}: {error.message}")
            self.target = None


def _called(key: str, place: Place) -> Place:
    if place.store is Store.LAYOUT:
        return replace(place, name=key)
    return replace(place, where=str(replace(place.reference, tag=key)))


@contextmanager
def _found(key: str, place: Place, world: World) -> Iterator[HeldImage | None]:
    """What is called ``key`` there; None for nothing."""
    if place.store is Store.LAYOUT and not place.path.exists():
        yield None
        return
    from assembler.registry.responses import Refused

    with ExitStack() as stack:
        try:
            found = stack.enter_context(open_place(_called(key, place), world))
        except Refused as refused:
            if refused.status != 404:
                raise
            yield None
        else:
            yield found.one() if called(found.entries, key) else None


def _files(held: HeldImage) -> dict[str, Descriptor]:
    """By their names in the store. ImageError for what is no checkpoint."""
    layers = held.root.blobs()[1:]
    files = {layer.annotations.get(TITLE, ""): layer for layer in layers}
    known = {ABOUT, FILES, *(scratch_file(number) for number in range(len(layers)))}
    if held.root.value.get("artifactType") != _TYPE or not {ABOUT, FILES} <= files.keys() <= known:
        raise ImageError(f"{held.name} is no checkpoint of imgasm's")
    if files[ABOUT].size > _ABOUT_CAP or sum(layer.size for layer in layers) > Limits().size:
        raise ImageError(f"{held.name} is larger than a checkpoint may be")
    return files


def _as_artifact(stored: Stored, layout: Layout, registries: Registries) -> HeldImage:
    """The files of a checkpoint as blobs of ``layout``, with the manifest over them."""
    config = layout.put_bytes(media_types.OCI_EMPTY, b"{}")
    names = [ABOUT, FILES, *(scratch_file(number) for number in range(len(stored.checkpoint.scratch)))]
    layers = [_blob(stored.directory / name, layout) for name in names]
    manifest = canonical_json({
        "schemaVersion": 2, "mediaType": media_types.OCI_MANIFEST, "artifactType": _TYPE, "config": config.to_json(),
        "layers": [layer.to_json() for layer in layers],
    })  # fmt: skip
    entry = layout.put_bytes(media_types.OCI_MANIFEST, manifest)
    return HeldImage(str(stored.directory), (entry,), layout.read, registries, layout)


def _blob(path: Path, layout: Layout) -> Descriptor:
    with path.open("rb") as file, layout.new_blob() as blob:
        _copy(file, blob)
        size = path.stat().st_size
        return Descriptor(_FILE, blob.commit(), size, {TITLE: path.name})


def _copy(content: Readable, into: BlobWriter | BinaryIO) -> None:
    while piece := content.read(_CHUNK):
        into.write(piece)
