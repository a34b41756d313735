"""Signatures and attestations as manifests, in the shapes that their readers look for.

    cosign's tag     a manifest under the tag ``sha256-<hex>.sig`` or ``.att``, one layer for each signature
                     (cosign, specs/SIGNATURE_SPEC.md): cosign up to 2, skopeo, podman, Kubernetes' policy controllers
    BuildKit's       a manifest in the index that has the image, with unsigned statements: docker scout, buildx
    OCI 1.1 referrer a manifest whose ``subject`` is the image (image-spec manifest.md, "Guidelines for Artifact
                     Usage"), with a sigstore bundle as its only layer: cosign 3, oras, what lists referrers
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from assembler.image.annotations import DOCKER_ATTESTATION
from assembler.image.manifests import RawManifest
from assembler.model import media_types
from assembler.model.descriptor import Descriptor, canonical_json
from assembler.trust.statement import BUNDLE

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from assembler.model.digest import Digest

SUFFIXES: Final = ("sig", "att", "sbom")
"""What cosign hangs below an image's digest."""

PREDICATE_TYPE: Final = "predicateType"
SIGNATURE_TEXT: Final = "dev.cosignproject.cosign/signature"

_IN_TOTO_PREDICATE: Final = "in-toto.io/predicate-type"
_ABOUT: Final = "vnd.docker.reference.digest"

NO_MACHINE: Final = "unknown"
"""What BuildKit calls it."""

EMPTY: Final = b"{}"


def tag_of(digest: Digest, suffix: str) -> str:
    return f"{digest.algorithm}-{digest.hex}.{suffix}"


def config_of(layers: Iterable[Descriptor], machine: str = "") -> bytes:
    """The config of a manifest with statements for layers: an image's, of nothing, and for no ``machine``."""
    rootfs = {"type": "layers", "diff_ids": [str(layer.digest) for layer in layers]}
    return canonical_json({"architecture": machine, "os": machine, "config": {}, "rootfs": rootfs})


def tagged(config: Descriptor, layers: Sequence[Descriptor]) -> RawManifest:
    return _manifest({"config": config.to_json(), "layers": [layer.to_json() for layer in layers]})


def referrer(subject: Descriptor, empty: Descriptor, bundle: Descriptor, kind: str) -> RawManifest:
    """``kind`` is the predicate type of the statement in ``bundle``; ``empty`` the descriptor of :data:`EMPTY`."""
    return _manifest({
        "artifactType": BUNDLE,
        "config": replace(empty, media_type=media_types.OCI_EMPTY).to_json(),
        "layers": [bundle.to_json()],
        "subject": Descriptor(subject.media_type, subject.digest, subject.size).to_json(),
        "annotations": {
            "dev.sigstore.bundle.content": "dsse-envelope",
            "dev.sigstore.bundle.predicateType": kind,
        },
    })  # fmt: skip


def buildkit_layer(statement: Descriptor, kind: str) -> Descriptor:
    return replace(statement, annotations={_IN_TOTO_PREDICATE: kind})


def buildkit_entry(manifest: Descriptor, subject: Digest) -> Descriptor:
    """As an index lists statements about an image in it (moby/buildkit, docs/attestations/attestation-storage.md)."""
    key, value = DOCKER_ATTESTATION
    return replace(manifest, annotations={key: value, _ABOUT: str(subject)},
                   extra={"platform": {"architecture": NO_MACHINE, "os": NO_MACHINE}})


def listed(referrer: RawManifest) -> Descriptor:
    """As a list of referrers has it (distribution-spec, "Listing Referrers")."""
    manifest = referrer.value
    kind = manifest.get("artifactType") or referrer.config.media_type
    return replace(referrer.descriptor, annotations=manifest.get("annotations") or {}, extra={"artifactType": kind})


def _manifest(parts: dict[str, Any]) -> RawManifest:
    data = canonical_json({"schemaVersion": 2, "mediaType": media_types.OCI_MANIFEST, **parts})
    return RawManifest(Descriptor.of(media_types.OCI_MANIFEST, data), data)
