"""The changeset: the fewest entries that turn the image below into the desired one (DESIGN.md, "The guarantee")."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING, Final

from assembler.changeset.entry_order import Changes, Entries
from assembler.changeset.hard_links import spread
from assembler.changeset.paths_below import Targets
from assembler.changeset.tree import ancestors, same_content
from assembler.errors import ChangesetError
from assembler.model.node import Kind, Node, shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from assembler.changeset.tree import Tree


@dataclass(frozen=True, slots=True)
class Changeset:
    """``entries`` in the layer's order. ``touched``: sizes of files whose times alone differ, which is worth no entry.

    ``moved`` tells which directories had to be written elsewhere because the image below has a symlink there.
    """

    entries: Entries
    touched: dict[bytes, int]
    moved: dict[bytes, bytes]


@dataclass(slots=True)
class _Difference:
    """Paths of the image below. ``linked`` are wanted paths whose inode has other names, below or now."""

    changed: dict[bytes, Node] = field(default_factory=dict)
    removed: set[bytes] = field(default_factory=set)
    touched: dict[bytes, int] = field(default_factory=dict)
    linked: list[bytes] = field(default_factory=list)


def diff(
    desired: Mapping[bytes, Node | None], final: Tree, onto: Tree, *, foreign: bool, clamp: int | None = None
) -> Changeset:
    """Compares ``desired`` (paths of ``final``) with ``onto`` and returns what must be written.

    ``foreign`` says that ``onto`` is not what the container started from: then a symlink to a directory (usr-merge) is
    followed instead of replaced (trap 9). ``clamp`` is a time in seconds that no new file's mtime exceeds.
    """
    targets = Targets(final, onto, foreign=foreign)
    wanted = targets.all(desired)
    found = _compare(wanted, targets)
    changed = found.changed
    spread(changed, found.linked, wanted, targets)
    if foreign:
        _check_places([path for path, node in wanted.items() if node is not None], found, targets)
    _add_parents(changed, found.removed, targets)
    removed = _needed(found.removed, changed)
    untouched = _exposed_parents(changed, removed, onto)
    replacing = {path for path, node in changed.items() if node.kind is Kind.DIRECTORY and _is_other(onto.node(path))}
    entries = Entries(Changes(changed, removed, untouched, replacing), targets, clamp)
    return Changeset(entries, {path: found.touched[path] for path in sorted(found.touched) if path not in changed},
                     targets.moved)


def _is_other(was: Node | None) -> bool:
    return was is not None and was.kind is not Kind.DIRECTORY


def _compare(wanted: Mapping[bytes, Node | None], targets: Targets) -> _Difference:
    found = _Difference()
    for target, node in wanted.items():
        was = targets.onto.node(target)
        if node is None:
            if was is not None:
                found.removed.add(target)
            continue
        if was is None or differs(target, node, was, targets):
            found.changed[target] = node
        elif node.mtime != was.mtime and node.kind is Kind.REGULAR:
            found.touched[target] = node.size
        if node.linked or (was is not None and was.linked and node.kind is not Kind.DIRECTORY):
            found.linked.append(target)
    return found


def differs(target: bytes, node: Node, was: Node, targets: Targets) -> bool:
    """Whether ``node``, which goes to ``target``, is another file than ``was``, which is there in the image below.

    Kind, metadata and size tell first; contents are read only if they must.
    """
    if not node.same_but_time(was):
        return True
    if node.kind is not Kind.REGULAR or node.size == 0:
        return False
    return not same_content(targets.source_of(target), targets.final, target, targets.onto)


def _check_places(wanted: Sequence[bytes], found: _Difference, targets: Targets) -> None:
    """ChangesetError where the links of the image below lead a file into what the container removed or replaced."""
    for directory in _directories_above((wanted,)):
        now = found.changed.get(directory)
        if directory in found.removed or (now is not None and now.kind is not Kind.DIRECTORY):
            inside = min(path for path in wanted if path.startswith(directory + b"/"))
            what = "removed" if now is None else f"made a {now.kind.value}"
            raise ChangesetError(
                f"{shown(targets.source_of(directory))} was {what} in the container, but in the image below"
                f" {shown(targets.source_of(inside))} lies in it, as {shown(inside)}",
                hint="Prune one of the two, or keep only what the image needs.",
            )


def _add_parents(changed: dict[bytes, Node], removed: Iterable[bytes], targets: Targets) -> None:
    """Directories above a kept path that the image below lacks: they come with what the container has there.

    All of them, for an engine that has to make one itself gives it a mode of its own (Docker's vfs store: 0600).
    """
    for directory in _directories_above((changed, removed)):
        if directory not in changed:
            was = targets.onto.node(directory)
            if was is None or was.kind is not Kind.DIRECTORY:
                found = targets.final.node(targets.source_of(directory))
                changed[directory] = found if found is not None and found.kind is Kind.DIRECTORY else _IMPLICIT


def _directories_above(many: Iterable[Iterable[bytes]]) -> set[bytes]:
    """Every directory above any path but the root, once."""
    parents = {path.rpartition(b"/")[0] for path in chain.from_iterable(many)}
    parents.discard(b"")
    return parents.union(directory for path in parents for directory in ancestors(path))


def _needed(removed: set[bytes], changed: Mapping[bytes, Node]) -> list[bytes]:
    """One whiteout for a removed tree; none where a file or symlink takes a directory's place anyway."""

    def is_gone_with(directory: bytes) -> bool:
        now = changed.get(directory)
        return directory in removed or (now is not None and now.kind is not Kind.DIRECTORY)

    return [path for path in removed if path not in changed and not any(map(is_gone_with, ancestors(path)))]


_IMPLICIT: Final = Node(Kind.DIRECTORY, 0o755)
"""What engines that unpack each layer into a directory of its own make of a parent that the layer doesn't mention."""


def _exposed_parents(changed: Mapping[bytes, Node], removed: Iterable[bytes], onto: Tree) -> dict[bytes, Node]:
    """Those unchanged parents that an engine would otherwise change (trap 10), exactly as the image below has them.

    Measured with a layer that holds tmp/x and no tmp/, on a base whose /tmp is 1777: Docker 20.10's overlay2 and podman
    4.3's overlay unpack it into an empty directory, make the parent as root's with mode 0755 and no extended
    attributes, and the overlay shows that one over the base's. containerd 1.6, umoci 0.4.7 and both vfs stores leave it
    as it is. A base's parent that is just like the one they make needs no entry. The root is nobody's child: Docker's
    overlay2, podman's overlay and containerd ignore an entry for it, the others don't, so no layer has one.
    """
    above = ((path, onto.node(path)) for path in _directories_above((changed, removed)) if path not in changed)
    return {path: was for path, was in above if was is not None and not was.same_but_time(_IMPLICIT)}
