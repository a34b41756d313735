"""A container's files and its base's, in one of two ways that must give the same layer.

``of_overlay`` reads the writable layer where it lies; ``of_exports`` compares two export streams and works everywhere
an engine answers. Only the first sees every extended attribute.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, BinaryIO, Final, Literal

from assembler.changeset import overlay_tree, tar_tree
from assembler.changeset.desired import Desired, Pruned, desired, ours, selection
from assembler.changeset.diff import Changeset, diff, differs
from assembler.changeset.overlay_tree import OverlayTree, UnreadableOverlay, path_too_long
from assembler.changeset.path_rules import Patterns, Rules
from assembler.changeset.paths_below import Targets, there_already
from assembler.changeset.prove import Proof, disproved, prove
from assembler.changeset.prove_paths import Places
from assembler.changeset.prove_rest import overlooked
from assembler.changeset.tar_tree import TarTree, Volume, is_directory
from assembler.changeset.tree import PathFinding, Tree, ancestors
from assembler.model.node import shown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from assembler.changeset.path_rules import Rule
    from assembler.layer.read_tar import Readable
    from assembler.model.node import Node


@dataclass(frozen=True, slots=True)
class Capture:
    """``final`` is the container's tree, ``base`` what it started from, ``mounts`` the paths that hid the rootfs."""

    way: Literal["overlay", "export", "layers"]
    final: Tree
    base: Tree
    mounts: frozenset[bytes]
    candidates: Mapping[bytes, Node | None]
    """Every path where the two may differ, with what ``final`` has there; None: it is gone."""


@dataclass(frozen=True, slots=True)
class Result:
    """One image's changeset, and what was taken out of it on the way.

    ``removed`` are the paths that the container removed and the image should lack, whether the image below has them or
    not. ``idle`` are the patterns of ``keep`` that the layer holds nothing of.
    """

    changeset: Changeset
    pruned: dict[Rule, Pruned]
    idle: tuple[Rule, ...]
    removed: tuple[bytes, ...]
    findings: tuple[PathFinding, ...]


def of_overlay(
    upper: bytes,
    lowers: Sequence[bytes],
    mounts: Iterable[bytes],
    *,
    xattr_prefix: str = "trusted.",
    metacopy: bool = False,
) -> Capture:
    """``lowers`` are topmost first, without the engine's own stub layer. Raises Unreadable on what needs a mount.

    ``metacopy`` says that files without data may be there; whether each one's data can be found is checked at once.
    """
    final = OverlayTree([upper, *lowers], prefix=xattr_prefix)
    base = OverlayTree(lowers, prefix=xattr_prefix)
    try:
        found = overlay_tree.candidates(final, base)
    except OSError as error:
        raise UnreadableOverlay(f"{shown(os.fsencode(error.filename or upper))}: {error.strerror}") from error
    if metacopy:
        for path in found:
            final.content(path)
    return Capture("overlay", final, base, frozenset(mounts), found)


_DEEP: Final = 4096 - 256 - 128
"""Bytes of a path to which a name, and with some engines the storage directory, can still come."""

Export = Callable[[], AbstractContextManager["Readable"]]
"""Starts a fresh stream of a whole rootfs."""


def of_exports(
    base: Export, final: Mapping[bytes, Export], mounts: Iterable[bytes], spool: BinaryIO, also: Rules
) -> Capture:
    """Reads all streams to their end. Contents that differ from the base's, or that ``also`` matches, go to ``spool``.

    ``final`` is the whole rootfs as ``b""``, and then each volume whose files belong to it, by the volume's path there.
    ``also`` are the globs of what images take from the container whether the base has it or not.
    """
    base_tree, final_tree, mounts = TarTree(), TarTree(), frozenset(mounts)
    parts = {path: Volume(path, mounts - {path}) if path else None for path in final}
    with base() as stream:
        base_tree.read_export(stream)
    also = also.led(base_tree)  # the container's own links go by too late; if they differ, ``fetch`` has more to do

    def differs(path: bytes, node: Node, digest: bytes) -> bool:
        was = base_tree.node(path)
        same = was is not None and node.same_but_time(was) and base_tree.content_digest(path) == digest
        return not same or also.match(path) is not None

    def fetch(paths: frozenset[bytes]) -> None:
        for path, export in final.items():
            with export() as stream:
                final_tree.read_contents(stream, spool, paths, parts[path])
        spool.flush()

    for path, export in final.items():
        with export() as stream:
            final_tree.read_export(stream, spool, differs, parts[path])
    spool.flush()
    _check_depth(final_tree, base_tree)
    final_tree.fetch = fetch
    found = dict(tar_tree.candidates(final_tree, base_tree))
    return Capture("export", final_tree, base_tree, mounts, found)


def with_links_of_container(capture: Capture) -> Capture:
    """``capture`` of two exports, for a file system that knows a file's other names only when it was asked for them.

    fuse-overlayfs counts the names that were looked up since it was mounted (measured with 1.10: perl and perl5.36.0
    in Debian's /usr/bin). The base's export then has separate files where the container's has hard links, because a
    step listed the directory. Names for equal files are taken for one file's in both; that a step linked files that had
    been equal is lost.
    """
    base, final = capture.base, capture.final
    assert isinstance(base, TarTree) and isinstance(final, TarTree)
    base.link_as(final)
    return replace(capture, candidates=dict(tar_tree.candidates(final, base)))


def _check_depth(exported: TarTree, base: TarTree) -> None:
    """ChangesetError where an export may have left something out because its path is too long: engines do not say."""
    for path in exported.paths():
        if len(path) > _DEEP and is_directory(exported, path) and not is_directory(base, path):
            raise path_too_long(path)


def changeset(capture: Capture, onto: Tree | None, patterns: Patterns, *, clamp: int | None = None) -> Result:
    """What an image's layer must hold. ``onto`` None is the build's own base; any other tree is another image's.

    On the base only what differs from it is looked at. Onto another image goes what ``keep`` selects from the whole
    container, and without ``keep`` what the steps changed and removed; onto an empty tree, everything.

    The patterns go through the container's symbolic links, and those that ``keep`` goes through are kept.
    """
    target = capture.base if onto is None else onto
    prune, keep = patterns.led(capture.final)
    goal = _desired(capture, onto, prune, keep)
    changes = diff(goal.nodes, capture.final, target, foreign=onto is not None, clamp=clamp)
    told = goal.findings | _told(capture, goal, changes) | _of_root(capture)
    removed = tuple(sorted(path for path, node in goal.nodes.items() if node is None))
    idle = [rule for rule, alone in keep.each()
            if rule not in goal.kept and not any(map(alone.match, goal.nodes))]  # fmt: skip
    return Result(changes, goal.pruned, tuple(idle), removed, tuple(sorted(told)))


def prove_layer(
    layer: Readable, capture: Capture, onto: Tree | None, patterns: Patterns, *, clamp: int | None = None
) -> Proof:
    """Proves the bytes of a finished layer, compressed or not, that was made of the same arguments' changeset.

    ChangesetError if it is not the fewest entries that make the image as desired, or if, on the build's own base,
    something else differs.
    """
    target = capture.base if onto is None else onto
    prune, keep = patterns.led(capture.final)
    goal = _desired(capture, onto, prune, keep)
    proof = prove(layer, goal.nodes, Places(capture.final, target, foreign=onto is not None), clamp=clamp)
    if onto is None:
        is_ours = ours(capture.base, capture.mounts, prune, keep)
        if found := list(overlooked(capture.final, capture.base, goal.nodes, is_ours)):
            raise disproved({path: ["it is not as in the base, and nobody noticed"] for path in found})
    return replace(proof, unseen=_unseen(capture, goal))


def _unseen(capture: Capture, goal: Desired) -> dict[str, tuple[bytes, ...]]:
    """What no proof of this capture can look at: :attr:`Proof.unseen`."""
    where = defaultdict[str, set[bytes]](set)
    for finding in goal.findings | capture.final.findings():
        where[finding.what].add(finding.path)
    mounts = {mount.rstrip(b"/") for mount in capture.mounts}
    where["what is mounted in the container"] = {path for path in mounts if mounts.isdisjoint(ancestors(path))}
    unseen = {what: tuple(sorted(paths)) for what, paths in where.items() if paths}
    if capture.way == "export":
        unseen["extended attributes but file capabilities, for an export shows none"] = ()
    return unseen


def _desired(capture: Capture, onto: Tree | None, prune: Rules, keep: Rules) -> Desired:
    if onto is None:
        return desired(capture.candidates.items(), capture.base, capture.mounts, prune, keep)
    if not keep and any(True for _ in onto.names(b"")):
        return desired(_changes(capture), capture.base, capture.mounts, prune, keep)
    chosen = desired(selection(capture.final, keep), capture.base, capture.mounts, prune, keep)
    for path in [path for path, node in chosen.nodes.items() if node is None]:
        del chosen.nodes[path]  # what was chosen is added to the image; what else that one has is its own
    for link in list(there_already(keep.links & chosen.nodes.keys(), capture.final, onto)):
        del chosen.nodes[link]
    return chosen


def _changes(capture: Capture) -> Iterator[tuple[bytes, Node | None]]:
    """The candidates that the steps did change: a file like the base's is nothing to replace another image's by."""
    final, base = capture.final, capture.base
    targets = Targets(final, base, foreign=False)
    for path, node in capture.candidates.items():
        was = base.node(path)
        if node is None or was is None or differs(path, node, was, targets):
            yield path, node
            continue
        # A file that only lost a name is what it was. Only a further name makes it another.
        if node.linked and not final.peers(path) <= base.peers(path):
            yield path, node


def _told(capture: Capture, goal: Desired, changes: Changeset) -> set[PathFinding]:
    """Findings about what is in the layer, and about what the steps changed in vain: the layer can't carry it."""
    written, below = changes.entries.sources(), capture.base.findings()
    return {
        finding for finding in capture.final.findings()
        if finding.path in written
        or (not finding.of_content and finding.path in goal.nodes and finding not in below)
    }  # fmt: skip


def _of_root(capture: Capture) -> set[PathFinding]:
    """Engines disagree about a layer's entry for the root, so no layer has one (``stack._exposed_parents``)."""
    was, now = capture.base.node(b""), capture.final.node(b"")
    if was is None or now is None or now.same_but_time(was):
        return set()
    what = "the root directory's new owner, mode or attributes are not in the layer: most engines would ignore them"
    return {PathFinding(b"", what)}
