"""One more layer on top of a base, or of nothing: the config and the manifest of the new image.

``compose`` only computes, so it serves a base that is in a registry too: the base's blobs are not needed, only its
manifest and config. ``assemble`` stores what it gives.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from assembler.image.annotations import BASE_DIGEST, BASE_NAME, NOT_INHERITED
from assembler.image.config import ImageSettings, NewLayer, make_config
from assembler.image.image import Image, parse_image
from assembler.model import media_types
from assembler.model.descriptor import Descriptor, canonical_json

if TYPE_CHECKING:
    from assembler.image.blob_store import BlobStore
    from assembler.model.reference import Reference

_FOREIGN: Final = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
_OCI_FORM: Final = {
    media_types.DOCKER_LAYER: media_types.OCI_LAYER,
    media_types.DOCKER_LAYER_GZIP: media_types.OCI_LAYER_GZIP,
    _FOREIGN: "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
}
"""The spec declares these interchangeable (media-types.md): the blobs are the same."""


@dataclass(frozen=True, slots=True)
class BaseImage:
    """What the new layer is stacked on, and the name it was asked for by, where it has one."""

    image: Image
    reference: Reference | None = None


def compose(base: BaseImage | None, layer: NewLayer, settings: ImageSettings) -> Image:
    """The new image. Its types are OCI's throughout: a base in Docker's form keeps its blobs, not its type names.

    The base's layer descriptors stay as they are otherwise. Its ``subject`` does not: that spoke of another manifest.
    """
    base_config = base.image.config if base is not None else None
    config = make_config(base_config, layer, settings)
    config_bytes = canonical_json(config)
    below = [_in_oci_form(descriptor) for descriptor, _ in base.image.layers] if base is not None else []
    manifest: dict[str, Any] = {
        "schemaVersion": 2,
        "mediaType": media_types.OCI_MANIFEST,
        "config": Descriptor.of(media_types.OCI_CONFIG, config_bytes).to_json(),
        "layers": [descriptor.to_json() for descriptor in (*below, layer.descriptor)],
    }
    if annotations := {**_inherited(base), **settings.annotations}:
        manifest["annotations"] = annotations
    manifest_bytes = canonical_json(manifest)
    return parse_image(Descriptor.of(media_types.OCI_MANIFEST, manifest_bytes), manifest_bytes, config_bytes)


def assemble(layout: BlobStore, base: BaseImage | None, layer: NewLayer, settings: ImageSettings) -> Image:
    """``compose``, with config and manifest written to ``layout``. The layers' blobs are the caller's business."""
    image = compose(base, layer, settings)
    store_image(layout, image)
    return image


def annotated(image: Image, annotations: dict[str, str]) -> Image:
    """The same blobs under a manifest that has ``annotations``, too."""
    manifest = {**image.manifest, "annotations": {**(image.manifest.get("annotations") or {}), **annotations}}
    data = canonical_json(manifest)
    return parse_image(Descriptor.of(image.descriptor.media_type, data), data, image.config_bytes)


def store_image(layout: BlobStore, image: Image) -> None:
    layout.put_bytes(image.config_descriptor.media_type, image.config_bytes)
    layout.put_bytes(image.descriptor.media_type, image.manifest_bytes)


def _own_annotations(image: Image) -> dict[str, str]:
    annotations = image.manifest.get("annotations") or {}
    return {key: value for key, value in annotations.items() if key not in NOT_INHERITED}


def _in_oci_form(layer: Descriptor) -> Descriptor:
    media_type = _OCI_FORM.get(layer.media_type, layer.media_type)
    return Descriptor(media_type, layer.digest, layer.size, layer.annotations, layer.extra)


def _inherited(base: BaseImage | None) -> dict[str, str]:
    if base is None:
        return {}
    kept = _own_annotations(base.image)
    kept[BASE_DIGEST] = str(base.image.descriptor.digest)
    if base.reference is not None:
        kept[BASE_NAME] = str(base.reference.with_default_tag())
    return kept
