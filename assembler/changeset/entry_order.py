"""The order of a layer's entries: what readers need first, then what compresses best.

Directories (parents first), whiteouts (the spec wants them before their siblings), everything else by kind, extension
and base name, so that files that are alike stand close to each other: 26,133 small files became 6.8 % smaller at
zstd -3 that way. Names that differ by numbers alone tell nothing; there the files of one directory stay together, which
their headers gain by: 300,000 files named by digests became 1.5 % smaller. Then hard links, after the file that they
name. Directories with a default ACL come last, the inner ones first: whatever an engine makes in one inherits the ACL
(seen in Docker, podman and containerd). Not so where they take the place of a link or file, which must go first.
"""

from __future__ import annotations

import re
from collections.abc import Sequence, Set
from itertools import chain
from typing import TYPE_CHECKING, Final, NamedTuple, overload

from assembler.changeset.xattrs import DEFAULT_ACL
from assembler.errors import ChangesetError
from assembler.layer.entry import Entry
from assembler.layer.many_files import likeness_of
from assembler.model.node import Kind, Node, shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from assembler.changeset.paths_below import Targets


_NUMBER: Final = re.compile(rb"[0-9a-f]{6,}|[0-9]+")


class Changes(NamedTuple):
    """What a layer says of the image below, by that image's paths.

    ``untouched`` are directories that are written again just as they are there, ``replacing`` those of ``changed`` that
    take the place of something else.
    """

    changed: Mapping[bytes, Node]
    removed: Iterable[bytes]
    untouched: Mapping[bytes, Node]
    replacing: Set[bytes]


class Entries(Sequence[Entry]):
    """A layer's entries in its order. Each is made when it is asked for: all at once would be 90 MB for 300,000 files.

    What changed is written as the container has it, no time later than ``clamp``.
    """

    def __init__(self, changes: Changes, targets: Targets, clamp: int | None) -> None:
        changed = changes.changed
        self._changed, self._untouched = changed, changes.untouched
        self._final, self._targets, self._clamp = targets.final, targets, clamp
        self._links = _links(changed, targets)
        self._paths = _ordered(changes, self._links)
        contents = [path for path, node in changed.items() if node.size and path not in self._links]
        targets.final.prepare(map(targets.source_of, contents))
        self.content_size = sum(changed[path].size for path in contents)
        """Bytes of all files' contents, each inode's once."""

    def sources(self) -> frozenset[bytes]:
        """The container's paths of everything but removals."""
        return frozenset(map(self._targets.source_of, chain(self._changed, self._untouched)))

    def source_of(self, path: bytes) -> bytes:
        """Where the container has what the layer holds under ``path``."""
        return self._targets.source_of(path)

    def __len__(self) -> int:
        return len(self._paths)

    def __iter__(self) -> Iterator[Entry]:
        return map(self._entry, self._paths)

    @overload
    def __getitem__(self, index: int) -> Entry: ...
    @overload
    def __getitem__(self, index: slice) -> list[Entry]: ...
    def __getitem__(self, index: int | slice) -> Entry | list[Entry]:
        if isinstance(index, slice):
            return [self._entry(path) for path in self._paths[index]]
        return self._entry(self._paths[index])

    def _entry(self, path: bytes) -> Entry:
        node = self._changed.get(path)
        if node is None:
            return Entry(path, self._untouched.get(path))
        if self._clamp is not None and node.mtime > self._clamp:
            node = node._replace(mtime=self._clamp)
        if path in self._links:
            return Entry(path, node, self._links[path])
        if node.size == 0:
            return Entry(path, node)
        content = self._final.content(self._targets.source_of(path))
        if content is None:
            raise ChangesetError(
                f"the content of {shown(path)} is gone",
                hint="A process in the container still writes: end what the steps left running.",
            )
        return Entry(path, node, None, content)


def _links(changed: Mapping[bytes, Node], targets: Targets) -> dict[bytes, bytes]:
    """For the second and further names of a linked inode, the one that holds its content: the first in byte order."""
    groups: dict[frozenset[bytes], list[bytes]] = {}
    for target, node in changed.items():
        if node.linked:
            groups.setdefault(targets.final.peers(targets.source_of(target)), []).append(target)
    ordered = (sorted(names) for names in groups.values())
    return {name: first for first, *others in ordered for name in others}


def _ordered(changes: Changes, links: Iterable[bytes]) -> list[bytes]:
    changed, removed, untouched, replacing = changes
    directories: list[bytes] = []
    inherited: list[bytes] = []
    others: dict[Kind, list[bytes]] = {}
    for path, node in chain(untouched.items(), changed.items()):
        if node.kind is Kind.DIRECTORY:
            # What is in it would end where a link leads, or nowhere, if a link or file were there still.
            (inherited if _has_default_acl(node) and path not in replacing else directories).append(path)
        elif path not in links:
            others.setdefault(node.kind, []).append(path)
    alike = [path for kind in sorted(others, key=_kind_name) for path in _by_likeness(others[kind])]
    return [*sorted(directories), *sorted(removed), *alike, *sorted(links), *sorted(inherited, reverse=True)]


def _has_default_acl(node: Node) -> bool:
    return any(name == DEFAULT_ACL for name, _ in node.xattrs)


def _by_likeness(paths: list[bytes]) -> list[bytes]:
    # Two stable sorts, because keys that hold the path as well would weigh more than the paths themselves.
    paths.sort()
    paths.sort(key=likeness_of(likeness))
    return paths


def _kind_name(kind: Kind) -> str:
    return kind.value


def likeness(path: bytes) -> bytes:
    """Extension and base name, without its numbers: digests, dates and versions say nothing about what is in a file."""
    name = path.rpartition(b"/")[2]
    stem, _, extension = name.rpartition(b".")
    return (extension if stem else b"") + b"\0" + _NUMBER.sub(b"", name)
