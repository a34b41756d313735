"""The image config (image-spec config.md): the base's, kept with every key, plus what one more layer adds to it."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from assembler.errors import ImageError
from assembler.model.run_config import run_section

if TYPE_CHECKING:
    from collections.abc import Iterable

    from assembler.model.descriptor import Descriptor
    from assembler.model.digest import Digest
    from assembler.model.platform import Platform
    from assembler.model.run_config import RunConfig

Json = dict[str, Any]

_UNRECORDED: Final = {"comment": "not recorded by the base image"}
"""Stands for a base's layer without history: AWS Lambda and Artifactory refuse a history that is too short."""


@dataclass(frozen=True, slots=True)
class NewLayer:
    """``created_by`` is the line that ``docker history`` shows."""

    descriptor: Descriptor
    diff_id: Digest
    created_by: str = "imgasm"


@dataclass(frozen=True, slots=True)
class ImageSettings:
    """What the new image should say besides its layers. ``created`` is RFC 3339, or None for an image without dates."""

    run: RunConfig
    platform: Platform
    annotations: dict[str, str] = field(default_factory=dict)
    created: str | None = None


def make_config(base: Json | None, layer: NewLayer, settings: ImageSettings) -> Json:
    """The config of ``base`` (None: of nothing) with one more layer.

    ``created`` is absent unless set, so that the same input gives the same image; a base's is dropped, for
    it would be wrong. A base's platform and history stay as they are.
    """
    config = copy.deepcopy(base) if base is not None else settings.platform.to_json()
    if config.get("os") == "windows":
        raise ImageError("the base is a Windows image, whose layers imgasm can't write", hint="Use a Linux base.")
    diff_ids = list(diff_ids_of(config))
    history = _padded(config.get("history") or [], len(diff_ids))
    stamp = {"created": settings.created} if settings.created is not None else {}
    config.pop("created", None)
    config.update(stamp)
    config["rootfs"] = {"type": "layers", "diff_ids": [*diff_ids, str(layer.diff_id)]}
    config["history"] = [*history, {**stamp, "created_by": layer.created_by}]
    config["config"] = run_section(settings.run, config.get("config") or {})
    return config


def diff_ids_of(config: Json) -> list[str]:
    rootfs = config.get("rootfs") or {}
    diff_ids = rootfs.get("diff_ids") or [] if isinstance(rootfs, dict) else None
    if not isinstance(diff_ids, list) or not all(isinstance(diff_id, str) for diff_id in diff_ids):
        raise ImageError("the image's config has no list of diff_ids", hint="Get the image again from its source.")
    return diff_ids


def count_layers(history: Iterable[Json]) -> int:
    """How many layers a history speaks of."""
    return sum(not entry.get("empty_layer") for entry in history)


def _padded(history: list[Json], layers: int) -> list[Json]:
    if not isinstance(history, list) or not all(isinstance(entry, dict) for entry in history):
        raise ImageError("the base's config has no list as its history", hint="Get the image again from its source.")
    missing = layers - count_layers(history)
    if missing < 0:
        raise ImageError(f"the base's history lists {-missing} more layers than it has",
                         hint="Its config is wrong: ask who made the base, or use another.")
    return [*history, *(dict(_UNRECORDED) for _ in range(missing))]
