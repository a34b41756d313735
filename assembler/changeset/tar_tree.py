"""A tree that came out of a tar stream: an engine's export of a whole rootfs, or an image's layers one upon the other.

Only metadata and digests stay in memory. Contents that the layer will need are kept in a spool file, because a stream
can't be read in the layer's order.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, Final

from assembler.changeset import xattrs
from assembler.changeset.tree import LARGE, PathFinding, Tree, ancestors, parent
from assembler.errors import ChangesetError, ImageError
from assembler.layer.entry import hidden_by
from assembler.layer.read_tar import Readable, read_tar
from assembler.model.node import Content, Kind, Node, shown
from assembler.model.size import human

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from assembler.layer.read_tar import Member

Wanted = Callable[[bytes, Node, bytes], bool]
"""Whether the content of (path, node, sha256) will be needed."""

_PAGE: Final = bytes(4096)
_IMPLICIT = Node(Kind.DIRECTORY, 0o755)


@dataclass(frozen=True, slots=True)
class Volume:
    """A directory of the rootfs that has an archive of its own: a volume. What is mounted in it is not part of it."""

    directory: bytes
    mounts: frozenset[bytes]

    def has(self, path: bytes) -> bool:
        return (path + b"/").startswith(self.directory + b"/") and self.mounts.isdisjoint((path, *ancestors(path)))

    def members(self, stream: Readable) -> Iterator[Member]:
        """Named as in the rootfs."""
        for member in read_tar(stream):
            member.name = self.directory + b"/" + member.name
            if member.is_link:
                member.linkname = self.directory + b"/" + member.linkname
            if self.has(member.path):
                yield member


class TarTree(Tree):
    """Filled by ``read_export`` or by one ``apply_layer`` for each layer, lowest first."""

    def __init__(self) -> None:
        self._nodes: dict[bytes, Node] = {}
        self._names: dict[bytes, set[bytes]] = {b"": set()}
        self._digests: dict[bytes, bytes] = {}
        self._contents: dict[bytes, Content] = {}
        self._groups: dict[bytes, set[bytes]] = {}
        self._first: dict[bytes, bytes] = {}
        """For the name of a hard link, the one that came with the content, which may be another file's by now."""
        self._findings: set[PathFinding] = set()
        self.fetch: Callable[[frozenset[bytes]], None] | None = None
        """Reads the stream once more, for contents that nobody could know to be needed when they went by."""

    def node(self, path: bytes) -> Node | None:
        return self._nodes.get(path)

    def names(self, path: bytes) -> Iterable[bytes]:
        return self._names.get(path, ())

    def peers(self, path: bytes) -> frozenset[bytes]:
        if path not in self._nodes:
            return frozenset()
        return frozenset(self._groups.get(path, (path,)))

    def content(self, path: bytes) -> Content | None:
        return self._contents.get(path)

    def digest(self, path: bytes) -> bytes:
        return self._digests[path]

    def prepare(self, paths: Iterable[bytes]) -> None:
        # Which names of an inode must be written is known only after all of its names have gone by.
        lacking = frozenset(path for path in paths if path not in self._contents)
        if lacking and self.fetch:
            self.fetch(frozenset(name for path in lacking for name in self.peers(path)))
            if changed := sorted(path for path in lacking if path not in self._contents):
                raise ChangesetError(
                    f"{shown(changed[0])} changed while its content was read",
                    hint="A process in the container still writes: end what the steps left running.",
                )

    def content_digest(self, path: bytes) -> bytes | None:
        return self._digests.get(path)

    def link_as(self, other: TarTree) -> None:
        """Takes names for one file's where ``other`` does, if here they differ in nothing."""
        for group in {id(group): group for group in other._groups.values()}.values():
            first, *rest = group
            mine = self._nodes.get(first), self._digests.get(first)
            if mine[0] is None or any((self._nodes.get(name), self._digests.get(name)) != mine for name in rest):
                continue
            if all(self._groups.get(name, group) <= group for name in group):
                own = set(group)
                self._groups.update(dict.fromkeys(group, own))
                self._nodes.update({name: self._nodes[name]._replace(linked=True) for name in group})

    def findings(self) -> frozenset[PathFinding]:
        return frozenset(self._findings)

    def paths(self) -> Iterator[bytes]:
        return iter(self._nodes)

    def read_export(
        self,
        stream: Readable,
        spool: BinaryIO | None = None,
        wanted: Wanted = lambda path, node, digest: True,
        part: Volume | None = None,
    ) -> None:
        """Takes in a whole rootfs, or ``part`` in the place of what it had there.

        Contents go to ``spool`` when ``wanted(path, node, digest)`` says so.
        """
        if part:
            self._remove(part.directory, set(filter(part.has, self._nodes)))
        for member in part.members(stream) if part else read_tar(stream):
            self._add(member, spool, wanted)

    def read_contents(
        self, stream: Readable, spool: BinaryIO, paths: frozenset[bytes], part: Volume | None = None
    ) -> None:
        """Goes through a stream again, only for the contents of ``paths`` that are what the tree has."""
        wanted: dict[bytes, list[bytes]] = {}
        for path in paths:
            wanted.setdefault(self._first.get(path, path), []).append(path)
        for member in part.members(stream) if part else read_tar(stream):
            if member.path in wanted and member.kind is Kind.REGULAR and not member.is_link:
                content, digest = Content(os.fsencode(spool.name), spool.tell()), hashlib.sha256()
                for chunk in member.chunks():
                    digest.update(chunk)
                    spool.write(chunk)
                same = (path for path in wanted[member.path] if self._digests.get(path) == digest.digest())
                self._contents.update((path, content) for path in same)

    def apply_layer(self, stream: Readable) -> None:
        """Takes in one layer of an image over those before it (image-spec layer.md, "Applying Changesets").

        A whiteout hides only what lower layers have (trap 1), so all of them act before the layer's own additions.
        """
        lower = set(self._nodes)
        for member in read_tar(stream):
            hidden = hidden_by(member.path)
            if hidden is None:
                self._add(member, None, None)
                lower.discard(member.path)
                continue
            directory, name = hidden
            for child in list(self._names.get(directory, ())) if name is None else [name]:
                self._remove(directory + b"/" + child if directory else child, lower)

    def _add(self, member: Member, spool: BinaryIO | None, wanted: Wanted | None) -> None:
        path = member.path
        if not path:
            self._nodes[b""] = self._policed(path, member.node())
            return
        for directory in ancestors(path):
            if directory not in self._names:
                self._put(directory, _IMPLICIT)
        if member.is_link:
            self._link(path, member.link)
            return
        self._put(path, self._policed(path, member.node()))
        if member.kind is Kind.REGULAR:
            self._take_content(path, member, spool, wanted)

    def _take_content(self, path: bytes, member: Member, spool: BinaryIO | None, wanted: Wanted | None) -> None:
        offset = spool.tell() if spool else 0
        digest, empty = hashlib.sha256(), 0
        for chunk in member.chunks():
            digest.update(chunk)
            if member.size > LARGE:
                empty += _empty(chunk)
            if spool:
                spool.write(chunk)
        if empty * 2 > member.size > LARGE:
            what = f"is mostly empty: {human(member.size - empty)} of data, but {human(member.size)} in the layer"
            self._findings.add(PathFinding(path, what, of_content=True))
        self._digests[path] = digest.digest()
        if spool and wanted and member.size:
            if wanted(path, self._nodes[path], digest.digest()):
                self._contents[path] = Content(os.fsencode(spool.name), offset)
            else:
                spool.seek(offset)

    def _policed(self, path: bytes, node: Node) -> Node:
        kept = xattrs.normal(node.xattrs, lambda what: self._findings.add(PathFinding(path, what)))
        return node if kept == node.xattrs else node._replace(xattrs=kept)

    def _put(self, path: bytes, node: Node) -> None:
        if node.kind is not Kind.DIRECTORY or path not in self._names:
            self._remove(path)
        self._nodes[path] = node
        self._names[parent(path)].add(path.rpartition(b"/")[2])
        if node.kind is Kind.DIRECTORY:
            self._names.setdefault(path, set())

    def _link(self, path: bytes, target: bytes) -> None:
        if target == path or target not in self._nodes:
            raise ImageError(f"the archive links {shown(path)} to {shown(target)}, which does not come before it")
        self._nodes[target] = self._nodes[target]._replace(linked=True)
        self._put(path, self._nodes[target])
        self._first[path] = self._first.get(target, target)
        group = self._groups.setdefault(target, {target})
        group.add(path)
        self._groups[path] = group
        if target in self._digests:
            self._digests[path] = self._digests[target]
        if target in self._contents:
            self._contents[path] = self._contents[target]

    def _remove(self, path: bytes, only: set[bytes] | None = None) -> None:
        """Takes ``path`` and all below it out; with ``only``, those of them that are in that set."""
        # Children after their parents, then backwards; no recursion, because a layer may have any depth.
        doomed = [path]
        for directory in doomed:
            doomed += (directory + b"/" + name for name in self._names.get(directory, ()))
        for found in reversed(doomed):
            self._remove_one(found, only)

    def _remove_one(self, path: bytes, only: set[bytes] | None) -> None:
        if path not in self._nodes or (only is not None and path not in only) or self._names.get(path):
            return
        del self._nodes[path]
        self._names.pop(path, None)
        self._names[parent(path)].discard(path.rpartition(b"/")[2])
        self._digests.pop(path, None)
        self._contents.pop(path, None)
        self._first.pop(path, None)
        self._groups.pop(path, {path}).discard(path)


def _empty(chunk: bytes | memoryview) -> int:
    """Bytes of whole pages without a set bit: a stream can't tell holes from written zeros (trap 17)."""
    pages = (chunk[at : at + len(_PAGE)] for at in range(0, len(chunk), len(_PAGE)))
    return sum(len(_PAGE) for page in pages if page == _PAGE)


def candidates(final: TarTree, base: TarTree) -> Iterator[tuple[bytes, Node | None]]:
    """Every path where two exports differ in more than hard links need telling; None where the container lacks it."""
    for path in final.paths():
        node = final.node(path)
        same = node == base.node(path) and final.content_digest(path) == base.content_digest(path)
        if not same or final.peers(path) != base.peers(path):
            yield path, node
    for path in base.paths():
        # Of a removed tree only the root: what was in it may lie somewhere else in another image.
        if final.node(path) is None and is_directory(final, parent(path)):
            yield path, None


def is_directory(tree: TarTree, path: bytes) -> bool:
    node = tree.node(path)
    return not path or (node is not None and node.kind is Kind.DIRECTORY)
