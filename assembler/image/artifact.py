"""What a manifest is that is not an image: signatures, attestations, charts, and whatever else registries store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from assembler.layer.codecs import CODECS
from assembler.model import media_types

if TYPE_CHECKING:
    from collections.abc import Iterable

    from assembler.model.descriptor import Descriptor

_NONDISTRIBUTABLE: Final = "application/vnd.oci.image.layer.nondistributable.v1.tar"
_DOCKER_FOREIGN: Final = "application/vnd.docker.image.rootfs.foreign.diff.tar"


def _types(oci: str, docker: str) -> dict[str, str]:
    """Every media type that begins so, and the codec that it promises."""
    codecs = CODECS.values()
    of_docker = {docker + codec.docker_suffix: codec.name for codec in codecs if codec.docker_suffix is not None}
    return {**{oci + codec.suffix: codec.name for codec in codecs}, **of_docker}


FOREIGN_LAYERS: Final = _types(_NONDISTRIBUTABLE, _DOCKER_FOREIGN)
"""Layers that may stay where their urls say (image-spec layer.md, "Non-Distributable Layers")."""

LAYERS: Final = {**_types(media_types.OCI_LAYER, media_types.DOCKER_LAYER), **FOREIGN_LAYERS}
"""The layers that engines run, and the compression that each type promises."""

_BY_LAYER: Final = {
    "application/vnd.dev.cosign.simplesigning.v1+json": "a cosign signature",
    "application/vnd.dev.cosign.artifact.": "an attachment made by cosign",
    "application/vnd.dsse.envelope.v1+json": "a signed attestation",
    "application/vnd.dev.sigstore.bundle.": "a sigstore bundle",
    "application/vnd.in-toto+json": "a build attestation",
}
_BY_CONFIG: Final = {"application/vnd.cncf.helm.config.v1+json": "a Helm chart"}


def signed_statement(layers: Iterable[Descriptor]) -> str | None:
    """The word for a manifest that calls its config an image's and holds statements about one; None for others."""
    for layer in layers:
        for prefix, word in _BY_LAYER.items():
            if layer.media_type.startswith(prefix):
                return word
    return None


def artifact(manifest: dict[str, Any], config: Descriptor, layers: Iterable[Descriptor]) -> str | None:
    """What ``manifest`` is, in words that follow "is"; None if it is an image (image-spec manifest.md)."""
    layers = tuple(layers)
    if word := signed_statement(layers) or _BY_CONFIG.get(config.media_type):
        return word
    if kind := manifest.get("artifactType"):
        return f"an artifact of the type {kind}"
    if config.media_type not in media_types.CONFIGS:
        return f"an artifact whose config is {config.media_type}"
    if layers and not any(layer.media_type in LAYERS for layer in layers):
        return f"an artifact whose contents are {layers[0].media_type}"
    return None


def is_elsewhere(blob: Descriptor) -> bool:
    """Whether a blob may stay where its ``urls`` say: no registry and no engine needs to have it."""
    return blob.media_type in FOREIGN_LAYERS and bool(blob.extra.get("urls"))
