"""What hangs on an image in a repository, signatures and attestations, in both of the shapes that are in use."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from assembler.errors import ImageError
from assembler.model import media_types
from assembler.places.temporary_layout import temporary_layout
from assembler.registry.pull import find_manifest, read_blob
from assembler.registry.push import BlobToPush, ManifestToPush, PushPlan, push
from assembler.registry.referrers import list_referrer, referrers
from assembler.trust.attachments import EMPTY, SIGNATURE_TEXT, SUFFIXES, config_of, listed, referrer, tag_of, tagged
from assembler.trust.statement import ANY_BUNDLE, BUNDLE, ENVELOPE, SIMPLE_SIGNING, Signed

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from assembler.image.layout import Layout
    from assembler.image.manifests import RawManifest
    from assembler.model.descriptor import Descriptor
    from assembler.model.digest import Digest
    from assembler.model.reference import Reference
    from assembler.places.world import World
    from assembler.progress import Progress
    from assembler.registry.client import RegistryClient
    from assembler.registry.repository import Repository


@dataclass(frozen=True, slots=True)
class Attached:
    """What hangs on one manifest. ``tags`` are by cosign's suffix; ``referrers`` name it as their subject."""

    tags: dict[str, RawManifest]
    referrers: tuple[RawManifest, ...]

    def __bool__(self) -> bool:
        return bool(self.tags or self.referrers)


def read_attached(repository: Repository, subject: Digest) -> Attached:
    """The manifests of all that hangs on ``subject``. What is only listed, and gone, is left out."""
    tags = {suffix: find_manifest(repository, tag_of(subject, suffix)) for suffix in SUFFIXES}
    entries = [entry for entry in referrers(repository, subject) if entry.media_type in media_types.MANIFESTS]
    found = [find_manifest(repository, str(entry.digest)) for entry in entries]
    return Attached(
        {suffix: one for suffix, one in tags.items() if one is not None and not one.is_index},
        tuple(one for one in found if one is not None),
    )


def read_signed(repository: Repository, subject: Digest) -> tuple[list[Signed], list[str]]:
    """All that is signed and hangs on ``subject``, be it about that or not, and what of it can't be read."""
    attached = read_attached(repository, subject)
    signed: list[Signed] = []
    broken = []
    for manifest in (*attached.tags.values(), *attached.referrers):
        for layer in manifest.blobs()[1:]:
            try:
                signed += _read(repository, layer)
            except ImageError as error:
                broken.append(error.message)
    return signed, broken


def _read(repository: Repository, layer: Descriptor) -> Iterator[Signed]:
    """Nothing for a layer of another kind."""
    if layer.media_type == SIMPLE_SIGNING:
        yield Signed.of_payload(read_blob(repository, layer), layer.annotations.get(SIGNATURE_TEXT, ""))
    elif layer.media_type == ENVELOPE:
        yield Signed.of_envelope(read_blob(repository, layer))
    elif layer.media_type.startswith(ANY_BUNDLE):
        yield Signed.of_bundle(read_blob(repository, layer))


@dataclass(frozen=True, slots=True)
class Attacher:
    """Hangs things on the manifests of one repository. What others hung there stays."""

    client: RegistryClient
    repository: Repository
    store: Layout
    progress: Progress

    def add_layer(self, subject: Digest, suffix: str, layer: Descriptor) -> None:
        """One more layer of the manifest under cosign's tag; its blob is in the store."""
        self._add_layers(tag_of(subject, suffix), [BlobToPush(layer, self.store.path(layer.digest))])

    def add_bundle(self, subject: Descriptor, bundle: bytes, kind: str) -> None:
        """A referrer with a sigstore bundle whose statement is of the predicate type ``kind``."""
        layer = self.store.put_bytes(BUNDLE, bundle)
        empty = self.store.put_bytes(media_types.OCTETS, EMPTY)
        manifest = referrer(subject, empty, layer, kind)
        blobs = [BlobToPush(blob, self.store.path(blob.digest)) for blob in manifest.blobs()]
        self._add_referrer(subject.digest, manifest, blobs)

    def take_over(self, attached: Attached, subject: Digest, source: Repository) -> None:
        """All that hangs on ``subject`` in the repository ``source``."""
        for suffix, manifest in attached.tags.items():
            tag = tag_of(subject, suffix)
            blobs = [BlobToPush(blob, None, source) for blob in manifest.blobs()]
            if find_manifest(self.repository, tag) is None:
                self._push(manifest, blobs, tag)
            else:
                self._add_layers(tag, blobs[1:])
        for manifest in attached.referrers:
            self._add_referrer(subject, manifest, [BlobToPush(blob, None, source) for blob in manifest.blobs()])

    def _add_layers(self, tag: str, more: Sequence[BlobToPush]) -> None:
        known = find_manifest(self.repository, tag)
        former = known.blobs()[1:] if known is not None else []
        new = [blob for blob in more if blob.descriptor not in former]
        if not new:
            return
        layers = [*former, *(blob.descriptor for blob in new)]
        config = self.store.put_bytes(media_types.OCI_CONFIG, config_of(layers))
        here = [BlobToPush(config, self.store.path(config.digest)), *new]
        self._push(tagged(config, layers), [*(BlobToPush(layer, None) for layer in former), *here], tag)

    def _add_referrer(self, subject: Digest, manifest: RawManifest, blobs: Sequence[BlobToPush]) -> None:
        self._push(manifest, blobs)
        list_referrer(self.repository, subject, listed(manifest))

    def _push(self, manifest: RawManifest, blobs: Sequence[BlobToPush], *tags: str) -> None:
        plan = PushPlan(blobs, [ManifestToPush(manifest.descriptor, manifest.data, tags)])
        push(self.client, self.repository.name, plan, self.progress)


@contextmanager
def attaching(target: Reference, world: World) -> Iterator[Attacher]:
    """To the repository of ``target``, for as long as the context lives."""
    with world.registries.client(target, pushing=True) as client, temporary_layout(world.cache) as store:
        yield Attacher(client, client.repository(target.repository, push=True), store, world.progress)
