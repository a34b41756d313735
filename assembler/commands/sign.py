"""``imgasm sign``: signatures beside an image in a registry, for whoever has the public key."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from assembler.model.descriptor import Descriptor, canonical_json
from assembler.model.place import Place, Store
from assembler.model.reference import Reference
from assembler.places.attachments import attaching
from assembler.places.open import open_place
from assembler.trust.attachments import PREDICATE_TYPE, SIGNATURE_TEXT
from assembler.trust.statement import (
    ENVELOPE,
    SIGNATURE,
    SIMPLE_SIGNING,
    bundle,
    envelope,
    payload,
    simple_signature,
    statement,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from assembler.commands.attestations import Predicates
    from assembler.image.manifests import RawManifest
    from assembler.model.digest import Digest
    from assembler.places.attachments import Attacher
    from assembler.places.held_image import HeldImage
    from assembler.places.send_to_registry import Shipment
    from assembler.places.world import World
    from assembler.trust.keys import PrivateKey


@dataclass(frozen=True, slots=True)
class SignedManifest:
    """``references`` are the names that it is signed as."""

    digest: Digest
    references: tuple[Reference, ...]


def sign(target: Reference, key: PrivateKey, world: World) -> list[SignedManifest]:
    """Signs what ``target`` leads to: an image, or an index and every image in it.

    skopeo and podman want both of an index, and accept a signature for the tag alone that is signed here.
    """
    target = target.with_default_tag()
    with open_place(Place(Store.REGISTRY, str(target)), world) as found, attaching(target, world) as attacher:
        name = target if target.tag is None else replace(target, digest=None)
        if target.tag is None:
            name = Reference(target.registry, target.repository)
            world.progress.say(f"{target} has no tag: skopeo and podman accept the signature only where they are asked "
                               "for the digest")  # fmt: skip
        return [sign_manifest(one, [name], key, attacher) for one in signable(found.one())]


def sign_shipment(shipment: Shipment, predicates: Predicates, key: PrivateKey, world: World) -> None:
    """Signs what is about to be sent, under every tag that will lead to it: its own, and those of the indexes above.

    ``predicates`` are what is attested of some of its images.
    """
    index = [] if shipment.index is None else [shipment.index]
    with attaching(shipment.target, world) as attacher:
        for held in shipment.images:
            for manifest in signable(held):
                above = (manifest.descriptor.digest, held.digest, *(one.descriptor.digest for one in index))
                signed = sign_manifest(manifest, _names(shipment, above), key, attacher)
                names = [str(reference) for reference in signed.references]
                for kind, predicate in predicates.get(signed.digest, {}).items():
                    attest(manifest.descriptor, statement(signed.digest, names, kind, predicate), kind, key, attacher)
        for manifest in index:
            sign_manifest(manifest, _names(shipment, [manifest.descriptor.digest]), key, attacher)


def _names(shipment: Shipment, digests: Iterable[Digest]) -> list[Reference]:
    bare = Reference(shipment.target.registry, shipment.target.repository)
    tags = dict.fromkeys(tag for digest in digests for tag in shipment.tags.get(digest, ()))
    return [replace(bare, tag=tag) for tag in tags] or [bare]


def signable(held: HeldImage) -> list[RawManifest]:
    """What of an image somebody can ask a registry for: all but BuildKit's statements in an index."""
    documents = held.documents
    return [one for one in documents if one is documents[-1] or one.is_index or one.artifact is None]


def sign_manifest(
    manifest: RawManifest, references: Sequence[Reference], key: PrivateKey, attacher: Attacher
) -> SignedManifest:
    """In both shapes: cosign's tag has one signature for each of ``references``, a sigstore bundle names them all."""
    subject = manifest.descriptor
    for reference in references:
        attacher.add_layer(subject.digest, "sig", _simple(subject.digest, reference, key, attacher))
    stated = statement(subject.digest, [str(reference) for reference in references], SIGNATURE, {})
    attacher.add_bundle(subject, bundle(envelope(stated, key), key.public), SIGNATURE)
    return SignedManifest(subject.digest, tuple(references))


def attest(subject: Descriptor, stated: bytes, kind: str, key: PrivateKey, attacher: Attacher) -> None:
    """Signs the in-toto statement ``stated`` of the predicate type ``kind``, in both shapes as well."""
    signed = envelope(stated, key)
    layer = attacher.store.put_bytes(ENVELOPE, canonical_json(signed))
    attacher.add_layer(subject.digest, "att", replace(layer, annotations={SIGNATURE_TEXT: "", PREDICATE_TYPE: kind}))
    attacher.add_bundle(subject, bundle(signed, key.public), kind)


def _simple(digest: Digest, reference: Reference, key: PrivateKey, attacher: Attacher) -> Descriptor:
    said = payload(digest, reference)
    layer = attacher.store.put_bytes(SIMPLE_SIGNING, said)
    return replace(layer, annotations={SIGNATURE_TEXT: simple_signature(said, key)})
