"""An image as a value: its manifest and config, read strictly, with the bytes that are their identity."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from assembler.errors import ImageError
from assembler.image import document
from assembler.image.choose import choose
from assembler.image.config import diff_ids_of
from assembler.image.store import check_bytes
from assembler.model import media
from assembler.model.digest import Digest
from assembler.model.oci import Descriptor
from assembler.model.platform import Platform

if TYPE_CHECKING:
    from assembler.image.layout import Layout
    from assembler.image.store import BlobStore

_HINT = "Get the image again from where it was made."
_INDEX_DEPTH = 3


@dataclass(frozen=True, slots=True)
class Image:
    """``layers`` are (descriptor of the blob, diff_id), the base's first."""

    descriptor: Descriptor
    manifest: dict[str, Any] = field(repr=False)
    manifest_bytes: bytes = field(repr=False)
    config_descriptor: Descriptor
    config: dict[str, Any] = field(repr=False)
    config_bytes: bytes = field(repr=False)
    layers: tuple[tuple[Descriptor, Digest], ...]

    @property
    def platform(self) -> Platform:
        return Platform.of_config(self.config)


def parse_image(descriptor: Descriptor, manifest_bytes: bytes, config_bytes: bytes) -> Image:
    """An image from the bytes of its manifest and config, from wherever they came; both are checked."""
    check_bytes(descriptor, manifest_bytes)
    manifest = document.parse_manifest(manifest_bytes, descriptor.media_type)
    config_descriptor = Descriptor.from_json(manifest.get("config"))
    if config_descriptor.media_type not in (media.OCI_CONFIG, media.DOCKER_CONFIG):
        raise ImageError(f"{descriptor.digest} is no image: its config is {config_descriptor.media_type!r}",
                         hint="Name an image; artifacts and charts have no rootfs.")
    check_bytes(config_descriptor, config_bytes)
    config = document.parse(config_bytes, "the image's config")
    layers, diff_ids = document.descriptors(manifest, "layers"), diff_ids_of(config)
    if len(layers) != len(diff_ids):
        raise ImageError(f"the manifest {descriptor.digest} and its config do not have the same number of layers",
                         hint=_HINT)
    pairs = tuple(zip(layers, map(Digest.parse, diff_ids), strict=True))
    return Image(descriptor, manifest, manifest_bytes, config_descriptor, config, config_bytes, pairs)


def read_manifest(layout: BlobStore, descriptor: Descriptor) -> Image:
    """The image of one manifest, whose descriptor may come from anywhere."""
    manifest_bytes = layout.read(descriptor)
    manifest = document.parse_manifest(manifest_bytes, descriptor.media_type)
    config = layout.read(Descriptor.from_json(manifest.get("config")), document.CONFIG_CAP)
    return parse_image(descriptor, manifest_bytes, config)


def read_image(
    layout: Layout, name: Descriptor | Digest | str | None = None, platform: Platform | None = None
) -> Image:
    """The image that ``name`` means (None: the only one there is). ``platform`` chooses from an index."""
    descriptor = name if isinstance(name, Descriptor) else layout.find(name)
    for _ in range(_INDEX_DEPTH):
        if descriptor.media_type not in media.INDEXES:
            return read_manifest(layout, descriptor)
        index = document.parse_index(layout.read(descriptor), descriptor.media_type)
        descriptor = choose(document.descriptors(index, "manifests"), platform)
    raise ImageError("the image is an index of indexes of indexes", hint="Name one of its images by its digest.")
