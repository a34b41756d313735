"""The same image with its layers in another compression: diff_ids and config stay, descriptors and manifest change."""

from __future__ import annotations

from typing import TYPE_CHECKING

from assembler.errors import ImageError
from assembler.image.image import Image, parse_image
from assembler.image.pack_layer import pack
from assembler.layer.codecs import media_type
from assembler.layer.compress import compressor
from assembler.layer.decompress import decompress
from assembler.model import media_types
from assembler.model.descriptor import canonical_json

if TYPE_CHECKING:
    from collections.abc import Callable

    from assembler.image.blob_store import BlobStore
    from assembler.model.descriptor import Descriptor
    from assembler.model.digest import Digest


def recompress(
    source: BlobStore, image: Image, target: BlobStore, codec: str, advance: Callable[[int], object] = int
) -> Image:
    """Writes ``image`` with every layer in ``codec`` to ``target``, and checks each layer's diff_id on the way.

    Layers that are in ``codec`` already are taken over as they are; those of a thin image's base, which are not here,
    stay what they are. ``advance`` gets the number of uncompressed bytes.
    """

    def in_codec(descriptor: Descriptor, diff_id: Digest) -> Descriptor:
        if not source.has(descriptor):
            return descriptor
        if descriptor.media_type == media_type(codec):
            target.adopt(source, descriptor)
            return descriptor
        with source.open_blob(descriptor.digest) as blob:
            return pack(decompress(blob), target, compressor(codec), _check(diff_id), advance)[0]

    layers = [in_codec(descriptor, diff_id) for descriptor, diff_id in image.layers]
    manifest = {
        **image.manifest,
        "mediaType": media_types.OCI_MANIFEST,
        "config": {**image.config_descriptor.to_json(), "mediaType": media_types.OCI_CONFIG},
        "layers": [layer.to_json() for layer in layers],
    }
    data = canonical_json(manifest)
    target.put_bytes(media_types.OCI_CONFIG, image.config_bytes)
    return parse_image(target.put_bytes(media_types.OCI_MANIFEST, data), data, image.config_bytes)


def _check(diff_id: Digest) -> Callable[[Digest], None]:
    """ImageError when a layer's bytes are not what ``diff_id`` says."""

    def check(actual: Digest) -> None:
        if actual != diff_id:
            raise ImageError(f"a layer should unpack to {diff_id}, but it unpacks to {actual}",
                             hint="The image is damaged; get it again from where it was made.")

    return check
