"""``imgasm verify --signed-by`` and ``--policy``: may an image in a registry be used? Asked before it is downloaded."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from assembler.commands.sign import signable
from assembler.errors import UsageError
from assembler.layer.findings import Finding
from assembler.model.place import Place, Store
from assembler.model.printable import printable
from assembler.places.attachments import read_signed
from assembler.places.open import open_place
from assembler.trust.policy import Asked, MatchRepoDigestOrExact, attestation_refusals, signature_refusals
from assembler.trust.statement import CYCLONEDX, PROVENANCE, SPDX

if TYPE_CHECKING:
    from collections.abc import Iterator

    from assembler.image.manifests import RawManifest
    from assembler.model.platform import Platform
    from assembler.model.reference import Reference
    from assembler.places.world import World
    from assembler.registry.repository import Repository
    from assembler.trust.keys import PublicKey
    from assembler.trust.policy import Policy

KINDS: Final = {
    "slsaprovenance1": PROVENANCE,
    "cyclonedx": CYCLONEDX,
    "spdx": SPDX,
}
"""Predicate types, by the names that cosign has for them."""


@dataclass(frozen=True, slots=True)
class Trusted:
    """One of ``keys`` must have signed, if there are any, and the ``attestations``, which are predicate types; the
    ``policy`` must be met as well."""

    keys: tuple[PublicKey, ...] = ()
    policy: Policy | None = None
    attestations: tuple[str, ...] = ()

    def refusals(self, asked: Asked) -> Iterator[str]:
        if self.keys:
            yield from signature_refusals(self.keys, MatchRepoDigestOrExact(), asked)
        for kind in self.attestations:
            yield from attestation_refusals(self.keys, kind, asked)
        if self.policy is not None:
            yield from self.policy.refusals(asked)


def check_trust(
    place: Place, platform: Platform | None, trusted: Trusted, world: World
) -> tuple[Place, list[Finding]]:
    """What was found, and the place by its digest: what is read there afterwards is what was checked here.

    Of an index every image is checked, unless ``platform`` chooses one. UsageError where ``place`` is in no registry.
    """
    if place.store is not Store.REGISTRY:
        raise UsageError(f"{place} is in no registry, and signatures are nowhere else",
                         hint="Name the image where it was pushed to.")
    reference = place.reference.with_default_tag()
    with open_place(place, world) as found:
        assert found.repository is not None
        held = found.one()
        chosen = held.for_platform(platform) if platform is not None else held
        findings = [
            finding
            for manifest in signable(chosen)
            for finding in _findings(manifest, reference, found.repository, trusted)
        ]
        return Place(Store.REGISTRY, str(replace(reference, digest=held.digest))), findings


def _findings(
    manifest: RawManifest, reference: Reference, repository: Repository, trusted: Trusted
) -> Iterator[Finding]:
    """An index is signed. Attestations are about images."""
    digest, trusted = manifest.descriptor.digest, replace(trusted, attestations=()) if manifest.is_index else trusted
    where = f"{reference.name}@{digest}"
    signed, broken = read_signed(repository, digest)
    for text in broken:
        yield Finding("warning", where, printable(text))
    refusals = list(trusted.refusals(Asked(digest, reference, signed)))
    for text in refusals:
        yield Finding("error", where, printable(text))
    if not refusals:
        yield Finding("note", where, f"it may be used as {reference}")
