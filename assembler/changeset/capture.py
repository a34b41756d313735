"""A container's files and its base's, in one of two ways that must give the same layer.

``of_overlay`` reads the writable layer where it lies; ``of_exports`` compares two export streams and works everywhere
an engine answers. Only the first sees every extended attribute.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, Literal

from assembler.changeset import overlay, tarball
from assembler.changeset.overlay import OverlayTree
from assembler.changeset.prove import Proof, prove
from assembler.changeset.stack import Changeset, stack
from assembler.changeset.tarball import TarTree
from assembler.changeset.tree import Finding, Tree
from assembler.changeset.wish import Pruned, Wish, selection, wish

if TYPE_CHECKING:
    from collections.abc import Sequence

    from assembler.changeset.rules import Rule, Rules
    from assembler.layer.read import Readable
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

    ``removed`` are the paths that the container removed and the image shall lack, whether the image below has them or
    not.
    """

    changeset: Changeset
    pruned: dict[Rule, Pruned]
    removed: tuple[bytes, ...]
    findings: tuple[Finding, ...]


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
    found = dict(overlay.candidates(final, base))
    if metacopy:
        for path in found:
            final.content(path)
    return Capture("overlay", final, base, frozenset(mounts), found)


Export = Callable[[], AbstractContextManager["Readable"]]
"""Starts a fresh stream of a whole rootfs."""


def of_exports(base: Export, final: Export, mounts: Iterable[bytes], spool: BinaryIO, also: Rules) -> Capture:
    """Reads both streams to their end. Contents that differ from the base's, or that ``also`` matches, go to ``spool``.

    ``also`` are the globs of what images take from the container whether the base has it or not.
    """
    base_tree, final_tree = TarTree(), TarTree()
    with base() as stream:
        base_tree.read_export(stream)

    def differs(path: bytes, node: Node, digest: bytes) -> bool:
        was = base_tree.node(path)
        same = was is not None and node.same_but_time(was) and base_tree.content_digest(path) == digest
        return not same or also.match(path) is not None

    def fetch(paths: frozenset[bytes]) -> None:
        with final() as stream:
            final_tree.read_contents(stream, spool, paths)
        spool.flush()

    with final() as stream:
        final_tree.read_export(stream, spool, differs)
    spool.flush()
    final_tree.fetch = fetch
    found = dict(tarball.candidates(final_tree, base_tree))
    return Capture("export", final_tree, base_tree, frozenset(mounts), found)


def changeset(
    capture: Capture, onto: Tree | None, prune: Rules, keep: Rules, *, clamp: int | None = None
) -> Result:
    """What an image's layer must hold. ``onto`` None is the build's own base; any other tree is another image's.

    On the base only what differs from it is looked at. Onto another image goes what ``keep`` selects from the whole
    container, and without ``keep`` what the steps changed; onto an empty tree, everything.
    """
    target = capture.base if onto is None else onto
    wishes = _wishes(capture, onto, prune, keep)
    changes = stack(wishes.nodes, capture.final, target, foreign=onto is not None, clamp=clamp)
    told = {finding for finding in capture.final.findings() if changes.entries.mentions(finding.path)}
    removed = tuple(sorted(path for path, node in wishes.nodes.items() if node is None))
    return Result(changes, wishes.pruned, removed, tuple(sorted(told | wishes.findings | _of_root(capture))))


def prove_layer(
    layer: Readable, capture: Capture, onto: Tree | None, prune: Rules, keep: Rules, *, clamp: int | None = None
) -> Proof:
    """Proves the bytes of a finished layer, compressed or not, that was made of the same arguments' changeset.

    ChangesetError if it is not the fewest entries that make the image what was wished for.
    """
    target = capture.base if onto is None else onto
    nodes = _wishes(capture, onto, prune, keep).nodes
    return prove(layer, nodes, capture.final, target, foreign=onto is not None, clamp=clamp)


def _wishes(capture: Capture, onto: Tree | None, prune: Rules, keep: Rules) -> Wish:
    whole = onto is not None and (bool(keep) or not any(True for _ in onto.names(b"")))
    found = selection(capture.final, keep) if whole else capture.candidates.items()
    return wish(found, capture.base, capture.mounts, prune, keep)


def _of_root(capture: Capture) -> set[Finding]:
    """Engines disagree about a layer's entry for the root, so no layer has one (``stack._exposed_parents``)."""
    was, now = capture.base.node(b""), capture.final.node(b"")
    if was is None or now is None or now.same_but_time(was):
        return set()
    what = "the root directory's new owner, mode or attributes are not in the layer: most engines would ignore them"
    return {Finding(b"", what)}
