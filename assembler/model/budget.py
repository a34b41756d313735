"""What a build may cost at most. All sizes are bytes; None is no limit."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Growth:
    """How much more than a baseline is too much: more than ``percent`` of it and more than ``floor`` bytes.

    The floor keeps small images quiet, where a few kilobytes are many percent; with 0 percent it is the limit alone.
    ``baseline`` is a reference, or the absolute path of a former build or another layout; None is what the registry has
    under the image's own reference.
    """

    percent: float = 0.0
    floor: int = 0
    baseline: str | Path | None = None

    def allowed(self, baseline: int) -> int:
        """The largest size that is still all right."""
        return baseline + max(int(baseline * self.percent / 100), self.floor)


@dataclass(frozen=True, slots=True)
class Budget:
    """``layer`` and ``image`` limit what a registry holds, ``..._unpacked`` what a host's disk holds.

    ``paths`` limits the files that match a glob, uncompressed, together. ``peak`` limits what the build itself needed,
    writable layer and scratch. ``growth`` compares layer and image, compressed, with a baseline.
    """

    layer: int | None = None
    layer_unpacked: int | None = None
    image: int | None = None
    image_unpacked: int | None = None
    paths: tuple[tuple[str, int], ...] = ()
    peak: int | None = None
    growth: Growth | None = None

    @property
    def needs_contents(self) -> bool:
        """Whether compressed sizes are not enough."""
        return bool(self.layer_unpacked or self.image_unpacked or self.paths)

    def __bool__(self) -> bool:
        return self != Budget()
