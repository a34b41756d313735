"""Where the blobs are that an image needs and a layout does not hold: those of a base that was never pulled.

index.json says it in containerd's word for it, on the image's own descriptor: the manifest stays what it is, and tools
that do not know the annotation pass over it. The manifest's base.name (image-spec annotations.md) is a second witness.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from assembler.errors import UsageError
from assembler.image.annotations import BASE_NAME
from assembler.model.reference import Reference

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from assembler.image.blob_store import BlobStore
    from assembler.image.image import Image
    from assembler.model.descriptor import Descriptor

_SOURCE: Final = "containerd.io/distribution.source."
"""Followed by a registry's host; the value lists repositories, with commas between them."""


def with_origins(descriptor: Descriptor, origins: Iterable[Reference]) -> Descriptor:
    """``descriptor``, for index.json, that says in which repositories missing blobs are."""
    annotations = dict(descriptor.annotations)
    for origin in origins:
        key = _SOURCE + origin.registry
        listed = [name for name in annotations.get(key, "").split(",") if name]
        annotations[key] = ",".join(dict.fromkeys([*listed, origin.repository]))
    return replace(descriptor, annotations=annotations)


def origins(listed: Descriptor, image: Image | None = None) -> tuple[Reference, ...]:
    """The repositories, without tags, that may hold blobs of ``image``'s base. ``listed`` is index.json's entry."""
    return told_origins(listed, image.manifest if image is not None else {})


def told_origins(listed: Descriptor, manifest: dict[str, Any]) -> tuple[Reference, ...]:
    """The same for a manifest as JSON, which may be anything."""
    names = [
        f"{key.removeprefix(_SOURCE)}/{repository}"
        for key, value in listed.annotations.items()
        if key.startswith(_SOURCE)
        for repository in value.split(",")
    ]
    annotations = manifest.get("annotations")
    base = annotations.get(BASE_NAME) if isinstance(annotations, dict) else None
    found = (_repository(name) for name in [*names, *([base] if isinstance(base, str) else [])])
    return tuple(dict.fromkeys(origin for origin in found if origin is not None))


def missing(store: BlobStore, image: Image) -> Sequence[Descriptor]:
    """The layers of ``image`` that ``store`` does not hold."""
    return [descriptor for descriptor, _ in image.layers if not store.has(descriptor)]


def _repository(name: str) -> Reference | None:
    """None for what is not a reference, or one of this machine only: a layout may come from anywhere."""
    try:
        reference = Reference.parse(name)
    except UsageError:
        return None
    return None if reference.registry == "localhost" else Reference(reference.registry, reference.repository)
