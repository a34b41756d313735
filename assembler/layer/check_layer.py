"""What is wrong with a layer's tar (image-spec layer.md), from any writer: read as a stream, all findings at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from assembler.errors import ImageError
from assembler.layer import tar_fields
from assembler.layer.entry import WHITEOUT_PREFIX, Entry, hidden_by
from assembler.layer.findings import Notes
from assembler.layer.read_tar import BLOCK
from assembler.layer.salvage_tar import Salvager
from assembler.layer.tar_header import CAPABILITY, header
from assembler.model.node import Kind

if TYPE_CHECKING:
    from assembler.layer.findings import Finding
    from assembler.layer.path_tree import PathTree
    from assembler.layer.read_tar import Member, Readable

_LARGEST_ID: Final = (1 << 32) - 2
_OVERLAY: Final = (b"trusted.overlay.", b"user.overlay.")
_SELINUX: Final = b"security.selinux"
_CAPABILITY_SIZE: Final = 24
"""Bytes, the most that Linux takes (linux/capability.h): no more are remembered."""
_NO_DIRECTORY: Final = "a path below something that is not a directory; engines disagree"


def check_layer(stream: Readable, below: PathTree, where: str) -> list[Finding]:
    """Reads the tar in ``stream`` and brings ``below`` up to date with it, as far as it can be read."""
    notes = Notes()
    check = _LayerCheck(below, notes)
    reader = Salvager(stream, lambda what, name: notes.note("error", what, name))
    try:
        for member in reader:
            check.member(member)
    except ImageError as error:
        notes.note("error", f"{error.message}; the rest was not read")
        check.whole(is_cut=True)
        below.forget()
    else:
        check.end(reader)
        check.whole()
    return notes.findings(where)


class _LayerCheck:
    def __init__(self, below: PathTree, notes: Notes) -> None:
        self._below = below
        self._layer = below.beside()
        self._links: list[tuple[bytes, bytes]] = []
        self._whiteouts: dict[bytes, None] = {}
        self._opaque: dict[bytes, None] = {}
        self._capable: dict[bytes, bytes] = {}
        self._note = notes.note

    def member(self, member: Member) -> None:
        if not member.name or not self._is_inside(member):
            return
        try:
            self._form(member)
        except ImageError as error:
            self._note("error", error.message, member.name)
        path = member.path
        folder, hidden = path.rpartition(b"/")[0], hidden_by(path)
        if folder.startswith(WHITEOUT_PREFIX) or b"/" + WHITEOUT_PREFIX in folder:
            self._note("error", "a directory has the name of a whiteout", path)
        if hidden is None:
            self._entry(member, path)
        else:
            self._whiteout(member, path, hidden[1])

    def _is_inside(self, member: Member) -> bool:
        names = [member.name, member.linkname] if member.is_link else [member.name]
        if any(b".." in name.split(b"/") for name in names):
            self._note("error", "a path leads out of the rootfs", member.name)
            return False
        if any(name.startswith(b"/") for name in names):
            self._note("error", "a path is absolute", member.name)
        return True

    def _entry(self, member: Member, path: bytes) -> None:
        is_directory = member.kind is Kind.DIRECTORY
        if not path and not is_directory:
            self._note("error", "the root is not a directory", member.name)
            return
        node = self._layer.make(path)
        if node.is_directory is not None:
            self._note("error", "a path is in the layer twice", path)
        if node.holds and not is_directory:
            self._note("error", _NO_DIRECTORY, path)
            node.children.clear()
        elif node.holds and path and not _is_inherited(member):
            self._note("warning", "a directory comes after what is in it", path)
        if member.is_link:
            self._link(path, member.link)
        self._capability(member, path)
        if self._is_blocked(path):
            self._note("error", _NO_DIRECTORY, path)
        node.is_directory = is_directory

    def _link(self, path: bytes, target: bytes) -> None:
        found = self._layer.find(target)
        if not target or (found is not None and found.is_directory):
            self._note("error", "a hard link to a directory", path)
        elif found is None or found.is_directory is None:
            self._links.append((path, target))
            self._layer.keep(path, target)

    def _capability(self, member: Member, path: bytes) -> None:
        """A link's header must repeat its file's: see ``header.repeated``."""
        said = dict(member.xattrs).get(CAPABILITY, b"")[:_CAPABILITY_SIZE]
        known = self._capable.get(member.link, b"") if member.is_link else said
        if said != known:
            what = "does not repeat" if known and not said else "has others than"
            self._note("error", f"a hard link {what} its file's capabilities; engines disagree which it has", path)
        if known:
            self._capable[path] = known
            self._layer.keep(path)

    def _is_blocked(self, path: bytes) -> bool:
        """Whether something above ``path`` is a file, or a symlink that this layer does not replace."""
        for ours, theirs in zip(self._layer.above(path), self._below.above(path), strict=True):
            known = ours.is_directory if ours is not None else None
            if known is False or (known is None and theirs is not None and theirs.is_directory is False):
                return True
        return False

    def _whiteout(self, member: Member, path: bytes, hidden: bytes | None) -> None:
        if member.kind is not Kind.REGULAR or member.is_link or member.size:
            self._note("warning", "a whiteout is not an empty file", path)
        if member.mode or member.uid or member.gid or member.mtime:
            self._note("warning", "a whiteout carries a mode, an owner or a time", path)
        folder, slash, _ = path.rpartition(b"/")
        directory = self._layer.make(folder)
        directory.holds = True
        known, hides = (self._opaque, folder) if hidden is None else (self._whiteouts, folder + slash + hidden)
        if hidden is None:
            directory.is_opaque = True
        elif hidden in (b"", b".", b"..") or hidden.startswith(WHITEOUT_PREFIX):
            self._note("error", "a whiteout that names nothing", path)
            return
        if hides in known:
            self._note("error", "a path is in the layer twice", path)
        known[hides] = None
        self._layer.keep(hides)

    def _form(self, member: Member) -> None:
        """How the header is written. ImageError where a number in it is none."""
        if _has_owner_names(member):
            self._note("warning", "an entry carries a user or group name", member.name)
        if member.kind is Kind.CHARACTER and member.device == (0, 0):
            self._note("error", "a device 0:0, which overlayfs takes for a whiteout", member.name)
        if member.is_link and tar_fields.number(member.block[124:136]):
            self._note("error", "a hard link has a size", member.name)
        if max(member.uid, member.gid) > _LARGEST_ID:
            self._note("error", "an owner above 4294967294, the largest that Linux has", member.name)
        if member.records:
            self._records(member)
        if member.header_size > BLOCK:
            self._length(member)

    def _records(self, member: Member) -> None:
        if member.records.get(b"mtime", b"").partition(b".")[2]:
            self._note("warning", "an mtime with a fraction of a second", member.name)
        if b"atime" in member.records or b"ctime" in member.records:
            self._note("warning", "an entry carries an access or change time", member.name)
        for name, value in member.xattrs:
            if name == _SELINUX:
                self._note("warning", "an entry carries security.selinux, which only its host understands", member.name)
            if name.startswith(_OVERLAY):
                self._note("error", f"overlayfs' own attribute {name[:100].decode(errors='replace')}", member.name)
            if not value:
                self._note("error", "an extended attribute without a value, which PAX can't store", member.name)

    def _length(self, member: Member) -> None:
        try:
            needed = len(header(Entry(member.path, member.node(), member.link if member.is_link else None)))
        except ImageError:
            return
        if member.header_size > needed:
            self._note("warning", "a header is longer than what it says needs", member.name)

    def end(self, reader: Salvager) -> None:
        if reader.hidden:
            self._note("error", "there are bytes after the end of the archive")
        elif reader.trailing:
            self._note("warning", f"{reader.trailing} bytes of padding after the two end blocks")
        elif reader.end_blocks < 2:
            self._note("warning", f"{reader.end_blocks} end blocks instead of two")

    def whole(self, *, is_cut: bool = False) -> None:
        """What can be said only after the last entry; of a layer that ``is_cut`` not what it lacks."""
        for path, target in () if is_cut else self._links:
            found = self._layer.find(target)
            if found is None or found.is_directory is None:
                self._note("error", "a hard link to a path that is not in the layer", path)
            else:
                self._note("error", "a hard link comes before its target", path)
        for path in self._whiteouts:
            if self._layer.find(path) is not None:
                self._note("error", "a whiteout and an entry of the same path", path)
            elif path not in self._below:
                self._note("error", "a whiteout of a path that no layer below has", path)
            if any(node is not None and node.is_opaque for node in self._layer.above(path)):
                self._note("error", "a whiteout in a directory that is opaque: engines show a ghost name", path)
        for path in self._opaque:
            if path not in self._below:
                self._note("warning", "an opaque whiteout in a directory that no layer below has", path)
        self._apply()

    def _apply(self) -> None:
        for path in self._whiteouts:
            self._below.remove(path)
        for path in self._opaque:
            self._below.empty(path)
        self._below.lay(self._layer)


def _is_inherited(member: Member) -> bool:
    """Whether what an engine makes in the directory gets its ACL: such a one rightly comes last."""
    return any(name == b"system.posix_acl_default" for name, _ in member.xattrs)


def _has_owner_names(member: Member) -> bool:
    named_in_header = member.block[265:266] != b"\0" or member.block[297:298] != b"\0"
    return named_in_header or b"uname" in member.records or b"gname" in member.records
