"""The files of an image while its layers go by, and which layer's bytes no later layer hides.

Every byte of content is either visible at the end or wasted, and is counted once: when its last name is overwritten or
removed (image-spec layer.md, "Applying Changesets"). Memory grows with the number of files, which has a limit.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from assembler.errors import ImageError
from assembler.layer.entry import hidden_by
from assembler.layer.read_tar import read_tar
from assembler.model.node import Kind
from assembler.report.file_kinds import HEAD, kind_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from assembler.layer.read_tar import Member, Readable

_MOST_ENTRIES: Final = 2_000_000
_MOST_NAMES: Final = 256 << 20
"""Bytes of names. Both limits are far beyond real images, and keep hostile ones from the memory."""

_KEPT: Final = (b"var/lib/dpkg/info/", b"lib/apk/db/", b"usr/lib/apk/db/")
_KEPT_MOST: Final = 64 << 20
"""Package databases are kept as they pass by, up to this many bytes."""

_WORTH_HASHING: Final = 4096


@dataclass(slots=True, eq=False)
class VisibleFile:
    """What a name stands for, unless it is a directory. ``taken``: bytes of the compressed layer. ``names`` counts."""

    layer: int
    size: int = 0
    taken: int | None = None
    kind: str | None = None
    digest: bytes = b""
    target: bytes = b""
    data: bytes | None = None
    names: int = 0


Directory = dict[bytes, "VisibleFile | Directory"]


class VisibleFiles:
    """``apply`` takes the layers, lowest first. ``wasted`` counts bytes by the path that they had, ``lost`` by layer,
    ``added`` all bytes of each layer's files, ``entries`` its members."""

    def __init__(self) -> None:
        self.root: Directory = {}
        self.wasted: Counter[bytes] = Counter()
        self.lost: Counter[int] = Counter()
        self.added: list[int] = []
        self.files: list[int] = []
        self._entries = self._names = self._kept = 0

    def apply(self, stream: Readable, consumed: Callable[[], int] | None = None) -> None:
        """One layer's tar. ``consumed`` tells how many bytes of the compressed layer were read so far."""
        layer, before = len(self.added), 0
        self.added.append(0)
        self.files.append(0)
        done: set[bytes] = set()
        for member in read_tar(stream):
            self._count(len(member.name))
            path = member.path
            hidden = hidden_by(path)
            if hidden is not None:
                if path not in done:
                    done.add(path)
                    self._white_out(*hidden, layer)
                continue
            file = self._add(member, path, layer)
            if consumed is not None and file is not None:
                now = consumed()
                file.taken, before = now - before, now

    def walk(self) -> Iterator[tuple[bytes, VisibleFile]]:
        """Every name that is not a directory's, a file with several names under each."""
        pending: list[tuple[bytes, Directory]] = [(b"", self.root)]
        while pending:
            prefix, directory = pending.pop()
            for name, found in directory.items():
                if isinstance(found, dict):
                    pending.append((prefix + name + b"/", found))
                else:
                    yield prefix + name, found

    def find(self, path: bytes) -> VisibleFile | Directory | None:
        found: VisibleFile | Directory | None = self.root
        for name in path.split(b"/") if path else ():
            found = found.get(name) if isinstance(found, dict) else None
        return found

    # What package databases are read through: see packages.Files.

    def names(self, path: bytes) -> list[bytes]:
        found = self.find(path)
        return list(found) if isinstance(found, dict) else []

    def read(self, path: bytes) -> bytes | None:
        found = self.find(path)
        return found.data if isinstance(found, VisibleFile) else b""

    def target(self, path: bytes) -> bytes | None:
        found = self.find(path)
        return found.target or None if isinstance(found, VisibleFile) else None

    def _count(self, name: int) -> None:
        self._entries += 1
        self._names += name
        if self._entries > _MOST_ENTRIES or self._names > _MOST_NAMES:
            raise ImageError(f"the image has more than {_MOST_ENTRIES} entries, or names of more than {_MOST_NAMES}"
                             " bytes", hint="Check where it comes from; no real image is like that.")

    def _add(self, member: Member, path: bytes, layer: int) -> VisibleFile | None:
        if not path:
            return None
        parent, name = self._parent(path)
        there = parent.get(name)
        if member.kind is Kind.DIRECTORY:
            if not isinstance(there, dict):
                self._drop(parent, name, path, None)
                parent[name] = {}
            return None
        file = self._linked(member) if member.is_link else self._new(member, path, layer)
        if file is None or file is there:
            return None
        file.names += 1
        self._drop(parent, name, path, None)
        parent[name] = file
        return None if member.is_link else file

    def _linked(self, member: Member) -> VisibleFile | None:
        found = self.find(member.link)
        return found if isinstance(found, VisibleFile) else None

    def _new(self, member: Member, path: bytes, layer: int) -> VisibleFile:
        if member.kind is not Kind.REGULAR:
            return VisibleFile(layer, target=member.linkname if member.kind is Kind.SYMLINK else b"")
        self.added[layer] += member.size
        self.files[layer] += 1
        file = VisibleFile(layer, member.size, data=b"" if not member.size else None)
        if member.size:
            self._take(member, path, file)
        return file

    def _take(self, member: Member, path: bytes, file: VisibleFile) -> None:
        digest, start = hashlib.sha256(), b""
        keep = path.startswith(_KEPT) and self._kept + member.size <= _KEPT_MOST
        pieces: list[bytes] = []
        for chunk in member.chunks():
            if len(start) < HEAD:
                start += chunk[:HEAD]
            if member.size >= _WORTH_HASHING:
                digest.update(chunk)
            if keep:
                pieces.append(chunk)
        file.kind = kind_of(path, lambda: start[:HEAD])
        file.digest = digest.digest() if member.size >= _WORTH_HASHING else b""
        if keep:
            file.data = b"".join(pieces)
            self._kept += member.size

    def _parent(self, path: bytes) -> tuple[Directory, bytes]:
        """The directory that ``path`` is in, made where the layers did not mention it."""
        *above, name = path.split(b"/")
        directory = self.root
        for depth, part in enumerate(above):
            found = directory.get(part)
            if not isinstance(found, dict):
                self._count(len(part))
                self._drop(directory, part, b"/".join(above[: depth + 1]), None)
                found = directory[part] = {}
            directory = found
        return directory, name

    def _white_out(self, directory: bytes, name: bytes | None, layer: int) -> None:
        """Hides what lower layers have there, and nothing of ``layer`` itself."""
        found = self.find(directory)
        if not isinstance(found, dict):
            return
        prefix = directory + b"/" if directory else b""
        for hidden in list(found) if name is None else [name]:
            self._drop(found, hidden, prefix + hidden, layer)

    def _drop(self, parent: Directory, name: bytes, path: bytes, spare: int | None) -> None:
        """Takes ``name`` and all below it away, but for the files of the layer ``spare`` and their directories."""
        there = parent.get(name)
        if there is None:
            return
        if isinstance(there, VisibleFile):
            if there.layer != spare:
                del parent[name]
                self._lose(there, path)
            return
        pending = [(there, path)]
        while pending:
            directory, above = pending.pop()
            for child, found in list(directory.items()):
                if isinstance(found, dict):
                    pending.append((found, above + b"/" + child))
                elif found.layer != spare:
                    del directory[child]
                    self._lose(found, above + b"/" + child)
        if spare is None:
            del parent[name]

    def _lose(self, file: VisibleFile, path: bytes) -> None:
        file.names -= 1
        if not file.names and file.size:
            self.wasted[path] += file.size
            self.lost[file.layer] += file.size
