"""Hard links across the edge of a layer (traps 11, 12).

A layer can't link to a file of a lower layer: containers-storage and containerd fail. So of the names of one inode
either all are in the layer or none is.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from assembler.changeset.paths_below import Targets
    from assembler.model.node import Node


def spread(
    changed: dict[bytes, Node], linked: Iterable[bytes], wanted: Mapping[bytes, Node | None], targets: Targets
) -> None:
    """Adds to ``changed`` every name that must be written because of what became of another name of its inode.

    ``linked`` are those paths of ``wanted`` whose inode has other names, below or now. Of the groups that one inode
    below fell apart into, one may stay where it is: the largest, because that costs the least.
    """
    groups = _groups(linked, targets)
    taken: set[frozenset[bytes]] = set()
    for group in sorted(groups, key=lambda group: (-len(group), min(group))):
        below = targets.onto.peers(min(group))
        if below not in taken and group <= below and not any(name in changed for name in group):
            taken.add(below)
        else:
            changed.update((name, node) for name in group if (node := wanted[name]) is not None)


def _groups(linked: Iterable[bytes], targets: Targets) -> list[set[bytes]]:
    """Those of ``linked`` that are one inode of the container together.

    Names that are not desired have no place in the image below, so none is looked for.
    """
    groups: defaultdict[frozenset[bytes], set[bytes]] = defaultdict(set)
    for target in linked:
        groups[targets.final.peers(targets.source_of(target))].add(target)
    return list(groups.values())
