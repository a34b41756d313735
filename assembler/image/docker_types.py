"""An image under Docker's own types (image manifest v2, schema 2), for engines and registries that know no others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from assembler.errors import ImageError
from assembler.image.image import parse_image
from assembler.layer.codecs import CODECS
from assembler.model import media_types
from assembler.model.descriptor import Descriptor, canonical_json

if TYPE_CHECKING:
    from assembler.image.image import Image

_DOCKER_FORM: Final = {
    form + suffix: media_types.DOCKER_LAYER + codec.docker_suffix
    for codec in CODECS.values()
    if codec.docker_suffix is not None
    for form, suffix in ((media_types.OCI_LAYER, codec.suffix), (media_types.DOCKER_LAYER, codec.docker_suffix))
}


def as_docker(image: Image) -> Image:
    """The same blobs under another manifest, whose form knows no annotations and no zstd."""
    layers = [_layer(descriptor) for descriptor, _ in image.layers]
    config = image.config_descriptor
    manifest = {
        "schemaVersion": 2,
        "mediaType": media_types.DOCKER_MANIFEST,
        "config": Descriptor(media_types.DOCKER_CONFIG, config.digest, config.size).to_json(),
        "layers": [layer.to_json() for layer in layers],
    }
    data = canonical_json(manifest)
    return parse_image(Descriptor.of(media_types.DOCKER_MANIFEST, data), data, image.config_bytes)


def _layer(layer: Descriptor) -> Descriptor:
    media_type = _DOCKER_FORM.get(layer.media_type)
    if media_type is None:
        raise ImageError(f"the layer {layer.digest} is {layer.media_type}, which Docker's manifests can't hold",
                         hint="--compression gzip converts layers that are here; a base's stay what they are.")
    return Descriptor(media_type, layer.digest, layer.size, extra={key: layer.extra[key] for key in ("urls",)
                                                                   if key in layer.extra})  # fmt: skip
