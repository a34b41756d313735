"""An index over images, from which a machine can choose by platform, kernel, driver, or whatever else they tell.

What an entry says comes from its image's manifest and config: nobody who chooses has to read those.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from assembler.image.annotations import IMGASM, KERNEL_RELEASES, NOT_INHERITED
from assembler.image.manifests import RawManifest
from assembler.model import media_types
from assembler.model.descriptor import Descriptor, canonical_json

if TYPE_CHECKING:
    from collections.abc import Iterable

    from assembler.image.image import Image

_FEATURE: Final = "kernel-modules"
"""In os.features: a client that knows the key passes over what asks for a feature that its machine doesn't have
(image-spec image-index.md, "os.features", leaves the words for Linux to implementations)."""


def compose_index(images: Iterable[Image], annotations: dict[str, str] | None = None) -> RawManifest:
    """An image index of ``images``, in the order given."""
    value: dict[str, Any] = {
        "schemaVersion": 2, "mediaType": media_types.OCI_INDEX, "manifests": list(map(_entry, images)),
    }  # fmt: skip
    if annotations:
        value["annotations"] = annotations
    data = canonical_json(value)
    return RawManifest(Descriptor.of(media_types.OCI_INDEX, data), data)


def with_entries(index: RawManifest, entries: Iterable[Descriptor]) -> RawManifest:
    """``index``, which then lists ``entries`` as well."""
    more = [entry.to_json() for entry in entries]
    data = canonical_json({**index.value, "manifests": [*index.value["manifests"], *more]})
    return RawManifest(Descriptor.of(index.descriptor.media_type, data), data)


def order(image: Image) -> tuple[str, bytes, str]:
    """By platform, then by what the index tells of it: when an image was built must not change the index's digest."""
    return str(image.platform.normal()), canonical_json(told_of(image)), str(image.descriptor.digest)


def told_of(image: Image) -> dict[str, str]:
    """The annotations of its entry: its own, and imgasm's labels where its form has no annotations (Docker's).

    Without what the image says about its base, which nobody chooses by.
    """
    labels = (image.config.get("config") or {}).get("Labels") or {}
    ours = {key: str(value) for key, value in labels.items() if key.startswith(IMGASM)}
    annotations = image.manifest.get("annotations") or {}
    return ours | {key: value for key, value in annotations.items() if key not in NOT_INHERITED}


def _entry(image: Image) -> dict[str, Any]:
    told = told_of(image)
    entry = {**image.descriptor.to_json(), "platform": _platform(image, told.get(KERNEL_RELEASES, "").split())}
    return {**entry, "annotations": told} if told else entry


def _platform(image: Image, kernels: list[str]) -> dict[str, Any]:
    """``os.version`` is the kernel's release where only one fits: it holds no list."""
    platform = image.platform.to_json()
    if kernels:
        platform["os.features"] = [_FEATURE]
    return platform | {"os.version": kernels[0]} if len(kernels) == 1 else platform
