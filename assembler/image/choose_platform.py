"""Which image of an index fits a platform (image-spec image-index.md; containers/image's variant table)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from assembler.errors import ImageError
from assembler.image.annotations import DOCKER_ATTESTATION
from assembler.model.platform import Platform

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from assembler.model.descriptor import Descriptor

_ARM: Final = ("v8", "v7", "v6", "v5", "")
_DEFAULT_VARIANTS: Final = {"arm64": "v8", "amd64": "v1"}


def choose(entries: Sequence[Descriptor], platform: Platform | None) -> Descriptor:
    """The first entry that fits best. Without a platform there must be one image only."""
    if found := fitting(entries, platform):
        return found[0]
    images = [entry for entry in entries if is_image(entry)]
    wanted_text = f"no image for {platform}" if platform is not None else "no single image"
    raise ImageError(f"the index has {wanted_text}",
                     hint=f"It offers {offered(images) or 'nothing'}; choose one with --platform.")


def fitting(entries: Sequence[Descriptor], platform: Platform | None) -> list[Descriptor]:
    """The entries that fit best: one image alone fits unless it says otherwise."""
    images = [entry for entry in entries if is_image(entry)]
    if len(images) == 1 and (platform is None or platform_of(images[0]) is None):
        return images
    for wanted in _acceptable(platform) if platform is not None else ():
        found = [entry for entry in images if _is_for(entry, wanted)]
        if found:
            return found
    return []


def offered(images: Iterable[Descriptor]) -> str:
    """The platforms, for people; of an image without one its digest."""
    return ", ".join(sorted({str(platform_of(entry) or entry.digest) for entry in images}))


def _is_for(entry: Descriptor, wanted: Platform) -> bool:
    found = platform_of(entry)
    return found is not None and _plain(found) == wanted


def is_image(entry: Descriptor) -> bool:
    """False for attestations and other artifacts that stand in an index beside the images."""
    key, attestation = DOCKER_ATTESTATION
    platform = platform_of(entry)
    unknown = platform is not None and platform.os == "unknown"
    return not unknown and "artifactType" not in entry.extra and entry.annotations.get(key) != attestation


def platform_of(entry: Descriptor) -> Platform | None:
    value = entry.extra.get("platform")
    if not isinstance(value, dict):
        return None
    return Platform(*(str(value.get(key) or "") for key in ("os", "architecture", "variant")))


def _plain(platform: Platform) -> Platform:
    if platform.variant and _DEFAULT_VARIANTS.get(platform.architecture) == platform.variant:
        return Platform(platform.os, platform.architecture)
    return platform


def _acceptable(platform: Platform) -> Iterator[Platform]:
    """What runs on ``platform``, best first: an arm v7 machine also runs v6, v5 and what names no variant."""
    platform = _plain(platform)
    if platform.architecture == "arm" and platform.variant in _ARM:
        for variant in _ARM[_ARM.index(platform.variant) :]:
            yield Platform(platform.os, "arm", variant)
    else:
        yield platform
