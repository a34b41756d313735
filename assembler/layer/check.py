"""What is wrong with a layer's tar (image-spec layer.md), whoever wrote it: read as a stream, all findings at once.

An *error* makes engines fail, disagree, or lose data; a *warning* is waste, or makes the digest depend on the host.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from assembler.errors import ImageError
from assembler.layer import fields
from assembler.layer.entry import WHITEOUT_PREFIX, Entry
from assembler.layer.header import header
from assembler.layer.read import BLOCK, TarReader
from assembler.model.node import Kind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from assembler.layer.read import Member, Readable

Severity = Literal["error", "warning"]

_OPAQUE: Final = WHITEOUT_PREFIX + WHITEOUT_PREFIX + b".opq"
_LARGEST_ID: Final = (1 << 31) - 1
_EXAMPLES: Final = 3
_OVERLAY: Final = (b"trusted.overlay.", b"user.overlay.")


@dataclass(frozen=True, slots=True)
class Finding:
    """``where`` names the blob or file, ``what`` is wrong there, with the first few paths when there are several."""

    severity: Severity
    where: str
    what: str


class Files:
    """The paths that the layers so far add up to, each with whether it is a directory.

    ``partial`` says that not all of those layers were read, so that any path may be there.
    """

    def __init__(self, *, partial: bool = False) -> None:
        self._partial = partial
        self._is_directory: dict[bytes, bool] = {}
        self._names: dict[bytes, set[bytes]] = {}

    def __contains__(self, path: bytes) -> bool:
        return self._partial or path in self._is_directory

    def blocks(self, path: bytes) -> bool:
        """Whether ``path`` is there and can not have anything below it: a file, or a symlink to a directory."""
        return self._is_directory.get(path) is False

    def add(self, path: bytes, is_directory: bool) -> None:
        if not is_directory:
            self.empty(path)
        known = path in self._is_directory
        self._is_directory[path] = is_directory
        for parent in () if known else ancestors(path):
            self._names.setdefault(parent, set()).add(path)
            if parent in self._is_directory:
                break
            self._is_directory[parent] = True
            path = parent

    def remove(self, path: bytes) -> None:
        self.empty(path)
        self._is_directory.pop(path, None)
        self._names.get(path.rpartition(b"/")[0], set()).discard(path)

    def empty(self, path: bytes) -> None:
        waiting = [path]
        while waiting:
            children = self._names.pop(waiting.pop(), set())
            waiting += children
            for child in children:
                del self._is_directory[child]


def ancestors(path: bytes) -> Iterator[bytes]:
    """The directories above a path, the nearest first, the root last."""
    while path:
        path = path.rpartition(b"/")[0]
        yield path


def check_layer(stream: Readable, below: Files, where: str) -> list[Finding]:
    """Reads the tar in ``stream`` and brings ``below`` up to date with it."""
    check = _LayerCheck(below)
    reader = TarReader(stream)
    try:
        for member in reader:
            check.member(member)
        check.end(reader)
    except ImageError as error:
        check.note("error", error.message)
    check.whole()
    return check.findings(where)


class _Places:
    """The first few paths that a finding is about, and how many there are."""

    def __init__(self) -> None:
        self._count = 0
        self._first: list[str] = []

    def add(self, path: bytes | None) -> None:
        self._count += 1
        if path is not None and len(self._first) < _EXAMPLES:
            self._first.append(path.decode(errors="backslashreplace") or ".")

    def __str__(self) -> str:
        more = f" and {self._count - _EXAMPLES} more" if self._count > _EXAMPLES else ""
        return f": {', '.join(self._first)}{more}" if self._first else ""


class _LayerCheck:
    def __init__(self, below: Files) -> None:
        self._below = below
        self._entries: dict[bytes, bool] = {}
        self._parents: set[bytes] = set()
        self._links: list[tuple[bytes, bytes]] = []
        self._whiteouts: dict[bytes, None] = {}
        self._opaque: list[bytes] = []
        self._notes: dict[tuple[Severity, str], _Places] = {}

    def note(self, severity: Severity, what: str, path: bytes | None = None) -> None:
        self._notes.setdefault((severity, what), _Places()).add(path)

    def findings(self, where: str) -> list[Finding]:
        return [Finding(severity, where, f"{what}{places}") for (severity, what), places in self._notes.items()]

    def member(self, member: Member) -> None:
        if not self._is_inside(member):
            return
        self._form(member)
        path = member.path
        name = path.rpartition(b"/")[2]
        if name.startswith(WHITEOUT_PREFIX):
            self._whiteout(member, path, name)
        else:
            self._entry(member, path)
        self._parents.update(ancestors(path))

    def _is_inside(self, member: Member) -> bool:
        names = [member.name, member.linkname] if member.is_link else [member.name]
        if any(b".." in name.split(b"/") for name in names):
            self.note("error", "a path leads out of the rootfs", member.name)
            return False
        if any(name.startswith(b"/") for name in names):
            self.note("error", "a path is absolute", member.name)
        return True

    def _entry(self, member: Member, path: bytes) -> None:
        if path in self._entries:
            self.note("error", "a path stands in the layer twice", path)
        if path and member.kind is Kind.DIRECTORY and path in self._parents and not _is_inherited(member):
            self.note("warning", "a directory stands behind what is in it", path)
        if member.kind is Kind.CHARACTER and member.device == (0, 0):
            self.note("error", "a device 0:0, which overlayfs takes for a whiteout", path)
        if member.is_link and member.link not in self._entries:
            self._links.append((path, member.link))
        for parent in ancestors(path):
            if self._entries.get(parent) is False or (parent not in self._entries and self._below.blocks(parent)):
                self.note("error", "a path below something that is no directory; engines disagree", path)
                break
        self._entries[path] = member.kind is Kind.DIRECTORY

    def _whiteout(self, member: Member, path: bytes, name: bytes) -> None:
        if member.kind is not Kind.REGULAR or member.is_link or member.size:
            self.note("warning", "a whiteout is not an empty file", path)
        folder, slash, _ = path.rpartition(b"/")
        hidden = name.removeprefix(WHITEOUT_PREFIX)
        if name == _OPAQUE:
            self._opaque.append(folder)
        elif hidden in (b"", b".", b"..") or hidden.startswith(WHITEOUT_PREFIX):
            self.note("error", "a whiteout that names nothing", path)
        elif folder + slash + hidden in self._whiteouts:
            self.note("error", "a path stands in the layer twice", path)
        else:
            self._whiteouts[folder + slash + hidden] = None

    def _form(self, member: Member) -> None:
        """How the header is written, apart from what it says."""
        if _has_owner_names(member):
            self.note("warning", "an entry carries a user or group name", member.name)
        if member.is_link and fields.number(member.block[124:136]):
            self.note("error", "a hard link has a size", member.name)
        if max(member.uid, member.gid) > _LARGEST_ID:
            self.note("error", "an owner above 2147483647", member.name)
        if member.records:
            self._records(member)
        if member.header_size > BLOCK:
            self._length(member)

    def _records(self, member: Member) -> None:
        if member.records.get(b"mtime", b"").partition(b".")[2]:
            self.note("warning", "an mtime with a fraction of a second", member.name)
        if b"atime" in member.records or b"ctime" in member.records:
            self.note("warning", "an entry carries an access or change time", member.name)
        for name, value in member.xattrs:
            if name.startswith(_OVERLAY):
                self.note("error", f"overlayfs' own attribute {name.decode(errors='replace')}", member.name)
            if not value:
                self.note("error", "an extended attribute without a value, which PAX can't store", member.name)

    def _length(self, member: Member) -> None:
        try:
            needed = len(header(Entry(member.path, member.node(), member.link if member.is_link else None)))
        except ImageError:
            return
        if member.header_size > needed:
            self.note("warning", "a header is longer than what it says needs", member.name)

    def end(self, reader: TarReader) -> None:
        if reader.hidden:
            self.note("error", "there are bytes behind the end of the archive")
        elif reader.trailing:
            self.note("warning", f"{reader.trailing} bytes of padding behind the two end blocks")
        elif reader.end_blocks < 2:
            self.note("warning", f"{reader.end_blocks} end blocks instead of two")

    def whole(self) -> None:
        """What can be said only after the last entry."""
        for path, target in self._links:
            if target in self._entries:
                self.note("error", "a hard link stands before its target", path)
            else:
                self.note("error", "a hard link to a path that is not in the layer", path)
        for path in self._whiteouts:
            if path in self._entries or path in self._parents:
                self.note("error", "a whiteout and an entry of the same path", path)
            elif path not in self._below:
                self.note("error", "a whiteout of a path that no layer below has", path)
        for path in self._opaque:
            if path not in self._below:
                self.note("warning", "an opaque whiteout in a directory that no layer below has", path)
        self._apply()

    def _apply(self) -> None:
        for path in self._whiteouts:
            self._below.remove(path)
        for path in self._opaque:
            self._below.empty(path)
        for path, is_directory in self._entries.items():
            self._below.add(path, is_directory)


def _is_inherited(member: Member) -> bool:
    """Whether what an engine makes in the directory gets its ACL: such a one rightly comes last."""
    return any(name == b"system.posix_acl_default" for name, _ in member.xattrs)


def _has_owner_names(member: Member) -> bool:
    named_in_header = member.block[265:266] != b"\0" or member.block[297:298] != b"\0"
    return named_in_header or b"uname" in member.records or b"gname" in member.records
