"""The proof of a finished layer (DESIGN.md, "The guarantee"), made without what made the layer.

The layer's bytes are read back and laid over the tree below. Sound: every desired path is then what
the container has there, and nothing else changed. Irredundant: no entry and no whiteout could be left out. Neither
``diff.py`` nor ``hard_links.py`` nor ``paths_below.py`` has a part in this, so that a mistake there is not made twice.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from assembler.changeset.prove_paths import Places, joined
from assembler.changeset.tree import ancestors, parent
from assembler.errors import ChangesetError
from assembler.layer.decompress import decompress
from assembler.layer.entry import WHITEOUT_PREFIX
from assembler.layer.read_tar import TarReader
from assembler.model.node import Kind, Node, shown

if TYPE_CHECKING:
    from collections.abc import Mapping

    from assembler.changeset.tree import Tree
    from assembler.layer.read_tar import Member, Readable

_DETAILED: Final = 20
_ENGINES_OWN: Final = Node(Kind.DIRECTORY, 0o755)
"""What engines make of a parent that the layer doesn't mention (trap 10)."""
_REPEATED: Final = b"security.capability"
"""What engines that change the owner of each entry, of a hard link as well, clear and take from its own header."""


Paths = tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Proof:
    """What was looked at: members of the layer, desired paths, and bytes of contents in the layer, here and below.

    ``unseen`` is what could not be looked at: in words, with the paths where it is; no paths: everywhere.
    """

    entries: int
    paths: int
    bytes: int
    unseen: Mapping[str, Paths] = field(default_factory=dict)


def prove(layer: Readable, desired: Mapping[bytes, Node | None], places: Places, *, clamp: int | None) -> Proof:
    """Reads ``layer``, compressed or not, to its end. ChangesetError names every path that is not as it must be.

    ``desired`` are paths of the container, None where the image should have nothing; ``clamp`` as in ``diff.diff``.
    Contents are read again from the container, by their sha256.
    """
    proof = _Prover(desired, places, clamp)
    proof.read(layer)
    proof.check_desired()
    proof.check_entries()
    if proof.wrong:
        raise disproved(proof.wrong)
    return Proof(proof.members, len(desired), proof.bytes)


def disproved(wrong: Mapping[bytes, list[str]]) -> ChangesetError:
    """What to raise: ``wrong`` says for each path what is not as it must be."""
    paths = sorted(wrong)
    lines = [f"{shown(path)}: {'; '.join(wrong[path])}" for path in paths[:_DETAILED]]
    lines += [shown(path) for path in paths[_DETAILED:]]
    count = "1 path disagrees" if len(paths) == 1 else f"{len(paths)} paths disagree"
    return ChangesetError(
        f"the layer is not proved: {count}. This is a bug in imgasm",
        hint="Please report it, with the recipe and these lines; the image was not given its name.",
        detail="\n".join(lines),
    )


class _Prover:
    """``wanted`` tells for each path of the image where the container has it, ``gone`` what the image should lack.

    ``first`` holds each entry's path and the entry with its content (itself but for hard links); ``parents`` is every
    directory above an entry or whiteout.
    """

    def __init__(self, desired: Mapping[bytes, Node | None], places: Places, clamp: int | None) -> None:
        self.final, self.onto, self.clamp = places.final, places.onto, clamp
        self.places = places
        self.wanted: dict[bytes, bytes] = {}
        self.gone: set[bytes] = set()
        for source in sorted(desired):
            place = places.of(source)
            if desired[source] is None:
                self.gone.add(place)
            elif place:  # the root has no entry
                self.wanted.setdefault(place, source)
        self.gone.difference_update(self.wanted)
        self.first: dict[bytes, bytes] = {}
        self.directories: set[bytes] = set()
        self.whiteouts: set[bytes] = set()
        self.parents: set[bytes] = set()
        self.names: defaultdict[bytes, set[bytes]] = defaultdict(set)
        self.wrong: defaultdict[bytes, list[str]] = defaultdict(list)
        self.members = self.bytes = 0

    # The layer, in one pass; nothing of a member is kept but its name and what it links to.

    def read(self, layer: Readable) -> None:
        reader = TarReader(decompress(layer))
        for member in reader:
            self.members += 1
            directory, _, name = member.path.rpartition(b"/")
            if name.startswith(WHITEOUT_PREFIX):
                self._take_whiteout(joined(directory, name.removeprefix(WHITEOUT_PREFIX)))
            else:
                self._take_entry(member)
        if reader.hidden:
            self.wrong[b""].append("the layer has data after its end")
        if reader.trailing or reader.end_blocks != 2:
            self.wrong[b""].append("the layer ends in something else than two blocks of zeros")
        for path in (*self.first, *self.whiteouts):
            self.parents.update(ancestors(path))

    def _take_whiteout(self, path: bytes) -> None:
        if path in self.whiteouts:
            self.wrong[path].append("the layer removes it twice")
        self.whiteouts.add(path)

    def _take_entry(self, member: Member) -> None:
        path = member.path
        if path in self.first:
            self.wrong[path].append("the layer has it twice")
        above, below = parent(path), self.onto.node(parent(path))
        if below is not None and below.kind is not Kind.DIRECTORY and above not in self.first:
            self.wrong[path].append("it stands before its directory, and below is something else in that place")
        self.first[path] = path
        if member.kind is Kind.DIRECTORY:
            self.directories.add(path)
        if member.is_link:
            self._take_link(member)
            return
        expected = self._expected(path)
        if expected is None:
            self.wrong[path].append("the layer has an entry for it that the image should not have")
        elif differences := _differences(member.node(), expected):
            self.wrong[path] += (f"{what} in the layer, not as it must be" for what in differences)
        elif expected.kind is Kind.REGULAR and expected.size:
            digest = hashlib.sha256()
            for chunk in member.chunks():
                digest.update(chunk)
            if digest.digest() != self._digest(self.final, self.wanted[path], expected):
                self.wrong[path].append("its content in the layer is not the container's")
            self.bytes += expected.size

    def _take_link(self, member: Member) -> None:
        path, target = member.path, member.link
        self.first[path] = self.first.get(target, target)
        self.names[self.first[path]] |= {path, self.first[path]}
        expected = self._expected(path)
        if target not in self.first:
            self.wrong[path].append(f"it is a link to {shown(target)}, which does not come before it in the layer")
        elif expected is None:
            self.wrong[path].append("the layer has a link for it that the image should not have")
        elif (member.mode, member.uid, member.gid, member.mtime) != (
            expected.mode, expected.uid, expected.gid, expected.mtime
        ):  # fmt: skip
            self.wrong[path].append("its link in the layer has another mode, owner or time")
        elif member.xattrs != tuple(pair for pair in expected.xattrs if pair[0] == _REPEATED):
            self.wrong[path].append("its link in the layer does not repeat just the file's capabilities")

    def _expected(self, path: bytes) -> Node | None:
        """What an entry for ``path`` must say; None: there must be none."""
        source, was = self.wanted.get(path), self.onto.node(path)
        if source is None:
            # Not desired: it can only be there for what is in it, and check_entries sees whether something is. What
            # the container removed may be such a directory where the image lacks it, and has a link that leads there.
            if not path or (path in self.gone and was is not None):
                return None
            if was is not None and was.kind is Kind.DIRECTORY:
                return was
            node = self.final.node(self.places.sources.get(path, path)) or _ENGINES_OWN
            if node.kind is not Kind.DIRECTORY:
                return None
        else:
            found = self.final.node(source)
            if found is None:
                return None
            if was is not None and was.kind is Kind.DIRECTORY and found.same_but_time(was):
                return was
            node = found
        return node if self.clamp is None or node.mtime <= self.clamp else node._replace(mtime=self.clamp)

    # Sound: every desired path is as it should be.

    def check_desired(self) -> None:
        for path, source in self.wanted.items():
            node, was = self.final.node(source), self._below(path)
            if node is None:
                self.wrong[path].append("the container does not have it any more")
                continue
            if path not in self.first:
                if was is None:
                    self.wrong[path].append("it is missing")
                elif differences := _differences(was._replace(mtime=node.mtime), node):
                    self.wrong[path] += (f"{what} stays as it is below" for what in differences)
                elif not self._same_content(path, source, node):
                    self.wrong[path].append("its content stays as it is below")
            is_linked = node.linked or path in self.names or (was is not None and was.linked)
            if is_linked and node.kind is not Kind.DIRECTORY and self._group(path) != self._made(path):
                names = ", ".join(map(shown, sorted(self._made(path))))
                self.wrong[path].append(f"it becomes one file with other names than in the container: {names}")
        for path in self.gone:
            if path not in self.first and self._below(path) is not None:
                self.wrong[path].append("it is removed in the container, and stays")

    def _group(self, path: bytes) -> set[bytes]:
        """The desired names of the container's inode at ``path``."""
        peers = self.final.peers(self.wanted[path])
        return {place for peer in peers if self.wanted.get(place := self.places.of(peer)) == peer} | {path}

    def _made(self, path: bytes) -> set[bytes]:
        """The desired names of the image's inode at ``path``: names in the layer, or those below that stay."""
        if path in self.first:
            return self.names.get(self.first[path], {path}) | {path}
        return self._staying(path) | {path}

    def _staying(self, path: bytes) -> set[bytes]:
        names = self.onto.peers(path)
        return {name for name in names if name in self.wanted and name not in self.first and not self._hidden(name)}

    # Irredundant: every entry has a reason.

    def check_entries(self) -> None:
        for path in self.first:
            if path in self.wanted:
                needed = self._is_new(path) or (path in self.directories and self._is_exposed(path))
                if not needed and not (path not in self.directories and self._is_for_links(path)):
                    self.wrong[path].append("the layer has an entry for it, and it is below already")
            elif path not in self.parents or (self._is_directory_below(path) and not self._is_exposed(path)):
                self.wrong[path].append("the layer has an entry for it that nothing needs")
        for path in self.whiteouts:
            if path not in self.gone:
                self.wrong[path].append("the layer removes it, and the image should keep it")
            elif self.onto.node(path) is None or path in self.first or self._hidden(path, itself=False):
                self.wrong[path].append("the layer removes it, and it is not there to be removed")
        for path in self.parents.difference(self.first):
            was = self._below(path)
            if was is None or was.kind is not Kind.DIRECTORY or not was.same_but_time(_ENGINES_OWN):
                self.wrong[path].append("it is above an entry, and engines would make it root's with mode 0755")

    def _is_new(self, path: bytes) -> bool:
        node, was = self.final.node(self.wanted[path]), self._below(path)
        if node is None or was is None or not node.same_but_time(was):
            return True
        return not self._same_content(path, self.wanted[path], node)

    def _is_exposed(self, path: bytes) -> bool:
        was = self.onto.node(path)
        return path in self.parents and was is not None and not was.same_but_time(_ENGINES_OWN)

    def _is_for_links(self, path: bytes) -> bool:
        """Whether the names of this inode could not all stay as they are below: some differ, or a name too many."""
        group = self._group(path)
        as_below = group <= self.onto.peers(path) and not any(self._is_new(name) for name in group)
        return not as_below or bool(self._staying(path) - group)

    def _is_directory_below(self, path: bytes) -> bool:
        was = self.onto.node(path)
        return was is not None and was.kind is Kind.DIRECTORY

    def _same_content(self, path: bytes, source: bytes, node: Node) -> bool:
        """Of two regular files whose metadata are equal. Others have no content."""
        if node.kind is not Kind.REGULAR or not node.size:
            return True
        return self._digest(self.final, source, node) == self._digest(self.onto, path, node)

    def _digest(self, tree: Tree, path: bytes, node: Node) -> bytes:
        self.bytes += node.size
        return tree.digest(path)

    def _below(self, path: bytes) -> Node | None:
        """What shows through the layer at ``path``, if the layer has no entry for it."""
        return None if self._hidden(path) else self.onto.node(path)

    def _hidden(self, path: bytes, *, itself: bool = True) -> bool:
        return (itself and path in self.whiteouts) or any(
            above in self.whiteouts or (above in self.first and above not in self.directories)
            for above in ancestors(path)
        )


def _differences(one: Node, other: Node) -> list[str]:
    """The names of what is not equal."""
    fields = {
        "the kind": (one.kind, other.kind), "the mode": (one.mode, other.mode),
        "the owner": ((one.uid, one.gid), (other.uid, other.gid)), "the time": (one.mtime, other.mtime),
        "the size": (one.size, other.size), "the link's target": (one.target, other.target),
        "the device": (one.device, other.device), "the attributes": (one.xattrs, other.xattrs),
    }  # fmt: skip
    return [what for what, (left, right) in fields.items() if left != right] if one != other else []
