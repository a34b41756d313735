"""The other half of the proof: where no change is desired, the container is as its base.

The candidates that a capture found have no part in this: both trees are walked from their roots. That takes a look at
every file of the base, and reads none that both trees have from the same place.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from assembler.changeset.tree import ancestors
from assembler.model.node import Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from assembler.changeset.tree import Tree
    from assembler.model.node import Node


def overlooked(
    final: Tree, base: Tree, desired: Mapping[bytes, Node | None], is_ours: Callable[[bytes], bool]
) -> Iterator[bytes]:
    """Paths that differ and are not among the desired ones. ``is_ours`` says which may be told of at all."""
    for path in final.walk():
        if path not in desired and is_ours(path) and not _is_same(path, final, base):
            yield path
    for path in base.walk():
        if final.node(path) is None and is_ours(path) and not _is_gone(path, desired):
            yield path


def _is_same(path: bytes, final: Tree, base: Tree) -> bool:
    node, was = final.node(path), base.node(path)
    if node is None or was is None:
        return node is not None and node.kind is Kind.SOCKET  # which no layer can hold
    if not node.same_but_time(was):
        return False
    if node.kind is not Kind.REGULAR or not node.size:
        return True
    here, there = final.content(path), base.content(path)
    return here == there is not None or final.digest(path) == base.digest(path)


def _is_gone(path: bytes, desired: Mapping[bytes, Node | None]) -> bool:
    """Whether it is desired to be gone: for itself, or for a directory above that is none any more."""
    for above in (path, *ancestors(path)):
        if above in desired:
            node = desired[above]
            if node is None or node.kind is not Kind.DIRECTORY:
                return True
    return False
