"""Patterns of ``keep`` that match nothing: each is told with why, and with what its author may have meant.

An image without what its recipe keeps is not the image that was asked for, so this is asked before anything is written.
"""

from __future__ import annotations

import difflib
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from assembler.changeset.desired import matching, stubs_of
from assembler.changeset.path_rules import Rule, Rules, literal_head
from assembler.changeset.symlinks import directory_at
from assembler.errors import ChangesetError
from assembler.model.globs import escaped, is_wild, parts_of
from assembler.model.node import Kind, shown
from assembler.model.printable import printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from assembler.changeset.capture import Capture
    from assembler.changeset.tree import Tree

_SHOWN: Final = 6
"""Names of a directory in a message."""


@dataclass(frozen=True, slots=True)
class UnmatchedPattern:
    """A pattern that the container has nothing for, and ``why`` it has none: the end of a sentence about it."""

    pattern: str
    why: str


def unmatched_patterns(capture: Capture, prune: Rules, keep: Rules, *, on_own_base: bool) -> Iterator[UnmatchedPattern]:
    """The patterns of ``keep`` that no path of the container matches which an image can have.

    A directory is something, and so is what the steps left as the base has it. ``on_own_base`` says that the image is
    stacked on that base, where a pattern may also name what the steps removed.
    """
    final, base = capture.final, capture.base
    prune = prune.led(final)
    is_stub = matching(stubs_of(capture.mounts))
    for rule, alone in keep.led(final).each():
        pruned: bytes | None = None
        stub: bytes | None = None
        for path in filter(alone.match, alone.selected(final)):
            if is_stub(path) and base.node(path) is None:
                stub = path
            elif prune.match(path):
                pruned = path
            else:
                break
        else:
            gone = (path for path, node in capture.candidates.items() if node is None and alone.match(path))
            if not (on_own_base and any(not prune.match(path) for path in gone)):
                yield UnmatchedPattern(rule.pattern, _why(rule, prune, pruned, stub, capture))


def _why(rule: Rule, prune: Rules, pruned: bytes | None, stub: bytes | None, capture: Capture) -> str:
    if pruned is not None and (by := prune.match(pruned)):
        preset = f" of the preset {by.preset}" if by.preset else ""
        return f"matches only what is pruned, by {by.pattern}{preset}"
    if stub is not None:
        return f"matches only what the engine put there, such as {shown(stub)}, and that reaches no layer"
    try:
        place = directory_at(literal_head(rule.pattern), capture.final)
    except ChangesetError:
        return "goes through symbolic links that form a circle"
    if place is not None and any(place == mount or place.startswith(mount + b"/") for mount in capture.mounts):
        return f"matches nothing: {shown(place)} is on a volume or mount, and nothing there reaches a layer"
    return f"matches nothing in the container{_instead(rule.pattern, capture.final)}"


def _instead(pattern: str, tree: Tree) -> str:
    """What the pattern may have been meant to be: another name in the same place, or the same name in another place."""
    at, gone, rest = _reached(pattern, tree)
    if not rest:
        return ""
    node = tree.node(at) if at else None
    if node is not None and node.kind is not Kind.DIRECTORY:
        return f"; {shown(at)} is a {node.kind.value}: did you mean {printable(_pattern(gone))}?"
    names = {os.fsdecode(name): name for name in tree.names(at)}
    for near in _near(rest[0], names):
        better = _pattern([*gone, escaped(near), *rest[1:]])
        if _matches(better, tree):
            return f"; did you mean {printable(better)}?"
    if found := _elsewhere(rest, tree):
        return f"; did you mean {printable(found)}?"
    if near_names := list(_near(rest[0], names)):
        return f"; did you mean {printable(_pattern([*gone, escaped(near_names[0])]))}?"
    listed = ", ".join(map(printable, sorted(names)[:_SHOWN])) + (", ..." if len(names) > _SHOWN else "")
    return f"; {shown(at)} has {listed}" if names else f"; {shown(at)} is empty"


def _reached(pattern: str, tree: Tree) -> tuple[bytes, list[bytes], list[bytes]]:
    """How far the pattern's own names lead: to which directory or file, by which of its parts, and the other parts."""
    at, parts = b"", parts_of(pattern)
    for count, part in enumerate(parts):
        here = at + b"/" + part if at else part
        node = None if is_wild(part) else tree.node(here)
        if node is not None and node.kind is Kind.SYMLINK:
            led = directory_at(here, tree)
            here, node = (led, tree.node(led)) if led is not None else (here, node)
        if node is None:
            return at, parts[:count], parts[count:]
        at = here
        if node.kind is not Kind.DIRECTORY:
            return at, parts[: count + 1], parts[count + 1 :]
    return at, parts, []


def _near(part: bytes, names: dict[str, bytes]) -> Iterator[bytes]:
    """Names that ``part`` may be a slip of, the nearest first."""
    lower = {name.casefold(): name for name in names}
    for near in difflib.get_close_matches(os.fsdecode(part).casefold(), lower, n=3):
        yield names[lower[near]]


def _elsewhere(rest: Sequence[bytes], tree: Tree) -> str | None:
    """As many of the last parts as can be found below another directory: the highest there is."""
    for number, name in enumerate(rest):
        if is_wild(name):
            continue
        alone = Rules([Rule(_pattern([b"**", *rest[number:]]))])
        found = min(filter(alone.match, tree.walk()), key=lambda path: (path.count(b"/"), path), default=b"")
        if found:
            parts = found.split(b"/")
            return _pattern([*map(escaped, parts[: parts.index(name)]), *rest[number:]])
    return None


def _matches(pattern: str, tree: Tree) -> bool:
    return Rules([Rule(pattern)]).led(tree).first(tree) is not None


def _pattern(parts: Sequence[bytes]) -> str:
    return "/" + os.fsdecode(b"/".join(parts))
