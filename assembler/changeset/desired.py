"""What should be different: the container's paths that may reach the image, before anything is compared.

Three things are taken out: what the engine put there itself (trap 20), what the recipe prunes, and what it does not
keep. A path that is taken out shows what the image below it has there, so pruning never costs a whiteout.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from assembler.changeset.tree import PathFinding, ancestors
from assembler.errors import ChangesetError
from assembler.layer.entry import WHITEOUT_PREFIX
from assembler.layer.tar_header import is_storable
from assembler.model.node import Kind, shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from assembler.changeset.path_rules import Rule, Rules
    from assembler.changeset.tree import Tree
    from assembler.model.node import Node

STUBS: Final = frozenset({b".dockerenv", b"run/.containerenv", b"etc/mtab", b"dev/console", b"dev/pts", b"dev/shm"})
"""What engines create in a container's own file system besides the mount points, as far as the base lacks it."""

_MOUNTED: Final = frozenset({b"dev", b"proc", b"sys"})
"""Always mounted over: what a container has below came from its engine (trap 18)."""


@dataclass(slots=True)
class Pruned:
    """What one rule took out: ``bytes`` are apparent sizes of regular files."""

    files: int = 0
    bytes: int = 0


@dataclass(slots=True)
class Desired:
    """``nodes`` holds what each path should be; None means gone. Parents come before their children.

    ``kept`` are the rules of ``keep`` that matched something.
    """

    nodes: dict[bytes, Node | None] = field(default_factory=dict)
    kept: set[Rule] = field(default_factory=set)
    pruned: dict[Rule, Pruned] = field(default_factory=dict)
    findings: set[PathFinding] = field(default_factory=set)


def desired(
    candidates: Iterable[tuple[bytes, Node | None]], base: Tree, mounts: Iterable[bytes], prune: Rules, keep: Rules
) -> Desired:
    """Filters ``candidates``. ``mounts`` are the paths that something was mounted on in the container.

    One with a slash at its end is a directory that the engine made if the base lacks it, but whose files are ours.
    """
    result = Desired(pruned={rule: Pruned() for rule in prune.rules})
    stubs = stubs_of(mounts)
    heads, is_stub = tuple(stubs), matching(stubs)
    prunes, keeps = bool(prune), bool(keep)
    for path, node in candidates:
        if not path or (path.startswith(heads) and is_stub(path) and base.node(path) is None):
            continue
        if prunes and (rule := prune.match(path)):
            _count(result.pruned[rule], node)
        elif not keeps or _is_kept(path, keep, result):
            is_file = node is not None and node.kind is Kind.REGULAR and WHITEOUT_PREFIX not in path
            if node is None or is_file or _is_storable(path, node, result):
                result.nodes[path] = node
            elif _has(base, path):
                result.nodes[path] = None
        elif (node is None or node.kind is not Kind.DIRECTORY) and _is_directory(base.node(path)):
            # What was in a directory that is no more is gone, even if the directory itself is not ours to remove.
            below = (inner for inner in base.walk(path) if keep.match(inner) and not prune.match(inner))
            result.nodes.update((inner, None) for inner in below)
    _drop_empty_parents(result.nodes, base, stubs)
    return result


def ours(base: Tree, mounts: Iterable[bytes], prune: Rules, keep: Rules) -> Callable[[bytes], bool]:
    """Whether a path is one that ``desired`` has to speak of if it differs from the base's."""
    stubs = stubs_of(mounts)
    is_stub, above_stubs = matching(stubs), {directory for stub in stubs for directory in ancestors(stub)}

    def is_ours(path: bytes) -> bool:
        if prune.match(path) or (keep and not keep.match(path)):
            return False
        return not (path in above_stubs or is_stub(path)) or base.node(path) is not None

    return is_ours


def stubs_of(mounts: Iterable[bytes]) -> frozenset[bytes]:
    """What comes from the engine and not from the steps, where the base lacks it."""
    return (STUBS | _MOUNTED).union(mounts) - {b""}


def matching(stubs: frozenset[bytes]) -> Callable[[bytes], object]:
    """Whether a path is one of ``stubs``, or in one."""
    return re.compile(b"(?:%s)(?:/|\\Z)" % b"|".join(map(re.escape, stubs)), re.DOTALL).match


def selection(final: Tree, keep: Rules) -> Iterator[tuple[bytes, Node | None]]:
    """Everything that ``keep`` lets out of the container, whether the base had it or not; all without ``keep``."""
    for path in keep.selected(final) if keep else final.walk():
        yield path, final.node(path)


def _drop_empty_parents(nodes: dict[bytes, Node | None], base: Tree, stubs: frozenset[bytes]) -> None:
    """Directories that the engine made only to have a place for its mount points are stubs as well."""
    suspects = {directory for stub in stubs for directory in ancestors(stub)}
    for directory in sorted(suspects, key=len, reverse=True):
        if directory in nodes and base.node(directory) is None:
            inside = directory + b"/"
            if not any(path.startswith(inside) for path in nodes):
                del nodes[directory]


def _is_directory(node: Node | None) -> bool:
    return node is not None and node.kind is Kind.DIRECTORY


def _is_kept(path: bytes, keep: Rules, result: Desired) -> bool:
    rule = keep.match(path)
    if rule is not None:
        result.kept.add(rule)
    return rule is not None


def _is_storable(path: bytes, node: Node, result: Desired) -> bool:
    """Whether a layer can hold it; what it can't is told of. ChangesetError for a name that means something else."""
    if WHITEOUT_PREFIX in path and not all(map(is_storable, path.split(b"/"))):
        raise ChangesetError(
            f"{shown(path)} can't be stored in a layer: names that begin with .wh. mean removals there",
            hint="Rename it in a step, or prune it.",
        )
    if node.kind is Kind.SOCKET:
        result.findings.add(PathFinding(path, "a socket, which tar can't hold, is not in the layer"))
    elif node.kind is Kind.CHARACTER and node.device == (0, 0):
        result.findings.add(PathFinding(path, "a device 0:0, which means a removal to overlays, is not in the layer"))
    else:
        return True
    return False


def _has(base: Tree, path: bytes) -> bool:
    was = base.node(path)
    return was is not None and was.kind is not Kind.SOCKET


def _count(pruned: Pruned, node: Node | None) -> None:
    if node is not None and node.kind is not Kind.DIRECTORY:
        pruned.files += 1
        pruned.bytes += node.size
