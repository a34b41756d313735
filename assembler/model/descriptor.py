"""Descriptors, manifests and indexes (image-spec descriptor.md, manifest.md, image-index.md).

A manifest's bytes are its identity: they are made once, here, and every later step carries those bytes.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from assembler.errors import ImageError
from assembler.model.digest import Digest


def canonical_json(value: Any) -> bytes:
    """Compact JSON with sorted keys in UTF-8: the same value gives the same bytes on every machine."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


@dataclass(frozen=True, slots=True)
class Descriptor:
    """A pointer to a blob. ``extra`` keeps keys that we do not know, so that a base's descriptors stay verbatim."""

    media_type: str
    digest: Digest
    size: int
    annotations: dict[str, str] = field(default_factory=dict)
    extra: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, media_type: str, data: bytes) -> Descriptor:
        return cls(media_type, Digest.of(data), len(data))

    @classmethod
    def from_json(cls, value: Any) -> Descriptor:
        try:
            rest = dict(value)
            media_type, digest, size = rest.pop("mediaType"), Digest.parse(rest.pop("digest")), rest.pop("size")
            annotations = rest.pop("annotations", None) or {}
        except (KeyError, TypeError, ValueError) as error:
            raise ImageError(f"not a descriptor (mediaType, digest and size are needed): {str(value)[:200]}") from error
        if not isinstance(media_type, str) or type(size) is not int or size < 0 or not isinstance(annotations, dict):
            raise ImageError(f"a descriptor has fields of the wrong type: {str(value)[:200]}")
        if not all(isinstance(text, str) for text in annotations.values()):
            raise ImageError(f"a descriptor has an annotation that is not a string: {str(value)[:200]}")
        return cls(media_type, digest, size, annotations, rest)

    def to_json(self) -> dict[str, Any]:
        value = {**self.extra, "mediaType": self.media_type, "digest": str(self.digest), "size": self.size}
        if self.annotations:
            value["annotations"] = dict(self.annotations)
        return value
