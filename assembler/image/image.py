"""An image as a value: its manifest and config, read strictly, with the bytes that are their identity."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from assembler.errors import ImageError
from assembler.image import strict_json
from assembler.image.blob_store import check_bytes
from assembler.image.choose_platform import choose
from assembler.image.config import diff_ids_of
from assembler.image.manifests import RawManifest
from assembler.model.descriptor import Descriptor
from assembler.model.digest import Digest
from assembler.model.platform import Platform

if TYPE_CHECKING:
    from collections.abc import Callable

    from assembler.image.blob_store import BlobStore
    from assembler.image.layout import Layout
    from assembler.image.manifests import Read

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

    @property
    def document(self) -> RawManifest:
        return RawManifest(self.descriptor, self.manifest_bytes)


def parse_image(descriptor: Descriptor, manifest_bytes: bytes, config_bytes: bytes) -> Image:
    """An image from the bytes of its manifest and config, from wherever they came; both are checked."""
    return image_of(RawManifest(descriptor, manifest_bytes), config_bytes)


def image_of(found: RawManifest, config_bytes: bytes) -> Image:
    """The image of a manifest and its config's bytes. ImageError that says what it is, if it is not an image."""
    refuse_artifact(found)
    descriptor, (config_descriptor, *layers) = found.descriptor, found.blobs()
    check_bytes(config_descriptor, config_bytes)
    config = strict_json.parse(config_bytes, "the image's config")
    diff_ids = diff_ids_of(config)
    if len(layers) != len(diff_ids):
        raise ImageError(f"the manifest {descriptor.digest} and its config do not have the same number of layers",
                         hint=_HINT)
    pairs = tuple(zip(layers, map(Digest.parse, diff_ids), strict=True))
    return Image(descriptor, found.value, found.data, config_descriptor, config, config_bytes, pairs)


def refuse_artifact(found: RawManifest) -> None:
    if (what := found.artifact) is not None:
        raise ImageError(f"{found.descriptor.digest} is {what}, and no image",
                         hint="imgasm copy and imgasm verify take it; the other commands need an image.")


def read_manifest(layout: BlobStore, descriptor: Descriptor) -> Image:
    """The image of one manifest, whose descriptor may come from anywhere."""
    found = RawManifest(descriptor, layout.read(descriptor))
    refuse_artifact(found)
    return image_of(found, layout.read(found.config, strict_json.CONFIG_CAP))


def read_image(
    layout: Layout, name: Descriptor | Digest | str | None = None, platform: Platform | None = None
) -> Image:
    """The image that ``name`` means (None: the only one there is). ``platform`` chooses from an index."""
    descriptor = name if isinstance(name, Descriptor) else layout.find(name, platform)
    return read_manifest(layout, descend(descriptor, platform, layout.read, layout.has).descriptor)


def descend(
    root: Descriptor, platform: Platform | None, read: Read, is_here: Callable[[Descriptor], bool] | None = None
) -> RawManifest:
    """The manifest for ``platform`` that an index, or an index of indexes, leads to; a manifest leads to itself.

    With ``is_here`` only what that says is chosen from: ``docker save`` and ``ctr export`` write indexes of images
    that they leave out.
    """
    found = RawManifest(root, read(root))
    for _ in range(_INDEX_DEPTH):
        if not found.is_index:
            return found
        children = found.children()
        here = [child for child in children if is_here is None or is_here(child)] or children
        chosen = choose(here, platform)
        found = RawManifest(chosen, read(chosen))
    raise ImageError("the image's indexes are nested too deeply", hint="Name one of its images by its digest.")
