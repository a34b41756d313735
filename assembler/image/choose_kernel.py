"""Which image of an index is for a machine: by its platform, the kernel that it runs, and what else is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from assembler.errors import ImageError, ModulesRefused
from assembler.image.annotations import AXIS, IMGASM, KERNEL_RELEASES
from assembler.image.choose_platform import is_image, platform_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from assembler.model.descriptor import Descriptor
    from assembler.model.platform import Platform

_SHOWN: Final = 40


@dataclass(frozen=True, slots=True)
class Node:
    """A machine: ``kernel`` is the release that it runs. ``where`` narrows the choice: values by the names of axes, or
    by whole annotations."""

    platform: Platform
    kernel: str
    where: Mapping[str, str] = field(default_factory=dict)

    def takes(self, entry: Descriptor) -> bool:
        told, platform = entry.annotations, platform_of(entry)
        return (
            is_image(entry)
            and platform is not None
            and self.platform.runs(platform)
            and self.kernel in told.get(KERNEL_RELEASES, "").split()
            and all(value in (told.get(AXIS + name), told.get(name)) for name, value in self.where.items())
        )


def choose_for(entries: Sequence[Descriptor], node: Node, what: str) -> Descriptor:
    """The one of ``what``'s entries that ``node`` takes. ModulesRefused for none, ImageError for several."""
    found = [entry for entry in entries if node.takes(entry)]
    if len(found) == 1:
        return found[0]
    told = "".join(f", {name} {value}" for name, value in node.where.items())
    asked = f"the kernel {node.kernel} on {node.platform}{told}"
    if found:
        raise ImageError(f"{what} has {len(found)} images for {asked}", detail="\n".join(_lines(found)),
                         hint="Say what else it must be: --where NAME=VALUE.")  # fmt: skip
    there = list(_lines(entry for entry in entries if KERNEL_RELEASES in entry.annotations))
    more = [f"and {len(there) - _SHOWN} more"] if len(there) > _SHOWN else []
    raise ModulesRefused(f"{what} has no image for {asked}", detail="\n".join((*there[:_SHOWN], *more)) or None,
                         hint="Build one for this kernel, or name what to take meanwhile: --fallback REFERENCE.")


def _lines(entries: Iterable[Descriptor]) -> Iterator[str]:
    """What each entry is for, as far as it can be chosen by."""
    for entry in entries:
        told = {key.removeprefix(AXIS): value for key, value in sorted(entry.annotations.items())
                if key.startswith(AXIS) or not key.startswith(IMGASM)}  # fmt: skip
        axes = "".join(f"  {key}={value}" for key, value in told.items())
        yield f"{entry.digest}  {platform_of(entry)}  {entry.annotations.get(KERNEL_RELEASES, '')}{axes}"
