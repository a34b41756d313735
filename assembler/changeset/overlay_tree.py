"""A tree made of overlay directories, read without mounting them: the topmost is the writable layer.

Follows the kernel's Documentation/filesystems/overlayfs.rst: whiteouts as 0:0 devices and as marked empty files
(trap 6), opaque directories (traps 2, 3), metadata-only copies (trap 8). A renamed directory (redirect_dir) can't be
read from the directories alone; it raises Unreadable, and the caller compares two exports instead.
"""

from __future__ import annotations

import errno
import os
import stat
from collections import defaultdict, deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from assembler.changeset import xattrs
from assembler.changeset.tree import LARGE, PathFinding, Tree, ancestors, file_digest, parent
from assembler.errors import ChangesetError
from assembler.layer.many_files import scan
from assembler.model.node import Content, Kind, Node, shown
from assembler.model.size import human

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from assembler.model.node import Xattrs

_AT_ONCE: Final = 256
"""Directories that are listed together."""


class UnreadableOverlay(ChangesetError):
    """These overlay directories don't tell the whole tree."""


def path_too_long(path: bytes) -> ChangesetError:
    """Not Unreadable: an export would leave such a path out, and nobody would hear of it."""
    return ChangesetError(
        f"{shown(path[:100])}... is {len(path)} bytes long, too long to read all that may be in it",
        hint="Remove it in a step: a path has at most 4,096 bytes, the engine's storage directory included.",
    )


@dataclass(frozen=True, slots=True)
class _Inode:
    """``file`` is the real path in the directory ``layer`` (an index, 0 is topmost)."""

    file: bytes
    layer: int
    status: os.stat_result


class OverlayTree(Tree):
    """The merged view of ``directories``, topmost first. ``prefix`` is ``user.`` for mounts made with ``userxattr``."""

    def __init__(self, directories: Sequence[bytes], *, prefix: str = "trusted.") -> None:
        self._roots = tuple(directories)
        self._private = prefix + "overlay."
        self._opaque_name = self._private + "opaque"
        self._whiteout_name = self._private + "whiteout"
        self._metacopy_name = self._private + "metacopy"
        self._redirect_name = self._private + "redirect"
        self._index_name = self._private + "nlink"
        self._stacks: dict[bytes, tuple[tuple[int, bytes], ...]] = {b"": tuple(enumerate(self._roots))}
        self._links: dict[int, dict[tuple[int, int], list[bytes]]] = {}
        self._groups: dict[tuple[int, int, int], frozenset[bytes]] = {}
        self._findings: set[PathFinding] = set()
        self._is_walked = False
        self._hollow: set[bytes] = set()
        """Files whose data lie below (metacopy), as far as they were looked at: all of the top once it is walked."""

    def node(self, path: bytes) -> Node | None:
        if not path:
            return self._make(self._roots[0], os.lstat(self._roots[0]), path)
        inode = self._find(path)
        return None if inode is None else self._make(inode.file, inode.status, path)

    def names(self, path: bytes) -> Iterable[bytes]:
        seen: dict[bytes, bool] = {}
        for _, directory in self._stack(path):
            for entry, status in _scan(directory, path):
                if entry.name not in seen:
                    seen[entry.name] = not self._is_whiteout(entry.path, status)
        return [name for name, is_there in seen.items() if is_there]

    def content(self, path: bytes) -> Content | None:
        """Of a regular file. Whether it is in a layer, and whether its bytes are, one system call tells at most."""
        directory, _, name = path.rpartition(b"/")
        merged = self._stacks.get(directory) or self._stack(directory)
        if self._is_walked and len(merged) == 1 and merged[0][0] == 0 and path not in self._hollow:
            return Content(merged[0][1] + b"/" + name)
        for _, real in merged:
            file = real + b"/" + name
            try:
                os.getxattr(file, self._metacopy_name, follow_symlinks=False)
            except FileNotFoundError:
                continue
            except OSError:  # ENODATA: it is there, and whole
                return Content(file)
            inode = self._find(path)
            return None if inode is None else Content(self._data(inode, path))
        return None

    def digest(self, path: bytes) -> bytes:
        inode = self._find(path)
        if inode is None:
            raise KeyError(path)
        return file_digest(Content(self._data(inode, path)), inode.status.st_size)

    def peers(self, path: bytes) -> frozenset[bytes]:
        inode = self._find(path)
        if inode is None:
            return frozenset()
        if inode.status.st_nlink < 2 or stat.S_ISDIR(inode.status.st_mode):
            return frozenset((path,))
        key = (inode.layer, *_key(inode.status))
        if key not in self._groups:
            # Links of one inode lie in one layer; those that a higher layer hides are not names of it any more.
            names = self._link_map(inode.layer)[_key(inode.status)]
            self._groups[key] = frozenset(name for name in names if self._layer_of(name) == inode.layer)
        return self._groups[key]

    def findings(self) -> frozenset[PathFinding]:
        return frozenset(self._findings)

    def is_merged(self, path: bytes) -> bool:
        """Whether lower directories show through the topmost one at ``path``."""
        return len(self._stack(path)) > 1

    def walk_top(self) -> Iterator[tuple[bytes, Mapping[bytes, Node | None]]]:
        """Every directory of the topmost one, with all paths in it that the topmost one has something to say about.

        None stands for a whiteout. Parents come before their children. All names of hard-linked inodes are known when
        it ends.
        """
        links: dict[tuple[int, int], list[bytes]] = defaultdict(list)
        pending = deque([b""])
        while pending:
            some = [pending.popleft() for _ in range(min(len(pending), _AT_ONCE))]
            places = [(path + b"/" if path else b"", self._top(path)) for path in some]
            for path, (prefix, directory), listing in zip(some, places, scan(places, LARGE), strict=True):
                nodes: dict[bytes, Node | None]
                nodes, names = listing or ({}, _names(directory, path))
                for name in names:
                    child, file = prefix + name, directory + b"/" + name
                    status = _lstat(file, path)
                    if self._is_whiteout(file, status):
                        nodes[child] = None
                        continue
                    nodes[child] = node = self._make(file, status, child)
                    if node.kind is Kind.DIRECTORY:
                        pending.append(child)
                    elif node.linked:
                        links[_key(status)].append(child)
                yield path, nodes
        self._links[0] = links
        self._is_walked = True

    def _top(self, path: bytes) -> bytes:
        return self._roots[0] + b"/" + path if path else self._roots[0]

    def is_in_top(self, path: bytes) -> bool:
        """Whether what is visible at ``path`` is in the topmost directory."""
        return self._layer_of(path) == 0

    def _layer_of(self, path: bytes) -> int | None:
        inode = self._find(path)
        return None if inode is None else inode.layer

    def _find(self, path: bytes) -> _Inode | None:
        """The inode that is visible at ``path``: the topmost, unless a whiteout hides it."""
        directory, _, name = path.rpartition(b"/")
        merged = self._stacks.get(directory)
        for layer, real in self._stack(directory) if merged is None else merged:
            file = real + b"/" + name
            try:
                status = os.lstat(file)
            except (FileNotFoundError, NotADirectoryError):
                continue
            except OSError as error:
                raise _too_long(path, error) from error
            return None if self._is_whiteout(file, status) else _Inode(file, layer, status)
        return None

    def _stack(self, path: bytes) -> tuple[tuple[int, bytes], ...]:
        """The real directories that are merged at ``path``, topmost first; empty when it is not a directory."""
        known = self._stacks.get(path)
        if known is not None:
            return known
        for directory in (*ancestors(path), path):
            if directory not in self._stacks:
                self._stacks[directory] = tuple(self._merged(directory))
        return self._stacks[path]

    def _merged(self, path: bytes) -> Iterator[tuple[int, bytes]]:
        """``_stack`` of a path whose parent's is known."""
        name = path.rpartition(b"/")[2]
        for layer, real in self._stacks[parent(path)]:
            file = real + b"/" + name
            try:
                status = os.lstat(file)
            except (FileNotFoundError, NotADirectoryError):
                continue
            except OSError as error:
                raise _too_long(path, error) from error
            if not stat.S_ISDIR(status.st_mode):
                return  # a file or whiteout hides everything below it
            yield layer, file
            if _xattr(file, self._redirect_name) is not None:
                raise UnreadableOverlay(f"a renamed directory (redirect_dir) at {os.fsdecode(path)!r}")
            if _xattr(file, self._opaque_name) == b"y":
                return

    def _is_whiteout(self, file: bytes, status: os.stat_result) -> bool:
        if status.st_size:
            return False
        if stat.S_ISCHR(status.st_mode):
            return status.st_rdev == 0
        # An empty file with the attribute is one only in a directory whose own mark says that there are some.
        is_named = stat.S_ISREG(status.st_mode) and _xattr(file, self._whiteout_name) is not None
        return is_named and _xattr(parent(file), self._opaque_name) == b"x"

    def _make(self, file: bytes, status: os.stat_result, path: bytes) -> Node:
        names = _xattr_names(file)
        found = self._xattrs(file, names, path) if names else ()
        if status.st_size > LARGE and _is_sparse(status) and path not in self._hollow:
            what = f"is sparse: {human(status.st_blocks * 512)} on disk, but {human(status.st_size)} in the layer"
            self._findings.add(PathFinding(path, what, of_content=True))
        return Node.from_stat(status, os.readlink(file) if stat.S_ISLNK(status.st_mode) else b"", found)

    def _xattrs(self, file: bytes, names: list[str], path: bytes) -> Xattrs:
        if self._index_name in names:
            raise UnreadableOverlay(f"hard links across directories (index=on) at {os.fsdecode(path)!r}")
        if self._metacopy_name in names:
            self._hollow.add(path)
        found = ((os.fsencode(name), os.getxattr(file, name, follow_symlinks=False)) for name in names)
        return xattrs.normal(found, lambda what: self._findings.add(PathFinding(path, what)), self._private.encode())

    def _data(self, inode: _Inode, path: bytes) -> bytes:
        """The file that holds the bytes: with metacopy a copied-up file has only metadata, its bytes stayed below."""
        while _xattr(inode.file, self._metacopy_name) is not None:
            if _xattr(inode.file, self._redirect_name) is not None:
                raise UnreadableOverlay(f"a renamed file without data (metacopy) at {os.fsdecode(path)!r}")
            name = path.rpartition(b"/")[2]
            for layer, real in self._stack(parent(path)):
                file = real + b"/" + name
                if layer > inode.layer and os.path.lexists(file):
                    inode = _Inode(file, layer, os.lstat(file))
                    break
            else:
                raise UnreadableOverlay(f"a file without data (metacopy) at {os.fsdecode(path)!r}")
        return inode.file

    def _link_map(self, layer: int) -> dict[tuple[int, int], list[bytes]]:
        """All names of each hard-linked inode in one layer. Walks that layer once, and only if somebody asks."""
        if layer not in self._links:
            found: dict[tuple[int, int], list[bytes]] = defaultdict(list)
            root = self._roots[layer]
            pending = [root]
            while pending:
                with os.scandir(pending.pop()) as entries:
                    for entry in entries:
                        status = entry.stat(follow_symlinks=False)
                        if stat.S_ISDIR(status.st_mode):
                            pending.append(entry.path)
                        elif status.st_nlink > 1:
                            found[_key(status)].append(entry.path[len(root) + 1 :])
            self._links[layer] = found
        return self._links[layer]


def candidates(final: OverlayTree, base: Tree) -> dict[bytes, Node | None]:
    """Every path where the container may differ from its base, with what the container has there.

    Whiteouts say what is gone; where a directory no longer shows what lay below it (opaque, or inside one that is),
    the names that the base has and the container lacks are gone as well (trap 2). A file that was copied up is no
    longer an inode with its other names, which stayed below (trap 12): something became of these too.
    """
    found: dict[bytes, Node | None] = {}
    for directory, nodes in final.walk_top():
        found.update(nodes)
        merged, was = final.is_merged(directory), base.node(directory)
        if was is None or was.kind is not Kind.DIRECTORY:
            continue
        if not merged:
            prefix = directory + b"/"
            found.update((prefix + name, None) for name in {*base.names(directory)}.difference(final.names(directory)))
        for path, node in nodes.items():
            if node is not None and node.kind is not Kind.DIRECTORY and len(peers := base.peers(path)) > 1:
                found.update((peer, now) for peer in peers if not final.is_in_top(peer) and (now := final.node(peer)))
    return found


def _scan(directory: bytes, path: bytes) -> Iterator[tuple[os.DirEntry[bytes], os.stat_result]]:
    """What is in the real directory of ``path``."""
    try:
        with os.scandir(directory) as entries:
            for entry in entries:
                yield entry, entry.stat(follow_symlinks=False)
    except OSError as error:
        raise _too_long(path, error) from error


def _names(directory: bytes, path: bytes) -> list[bytes]:
    try:
        return os.listdir(directory)
    except OSError as error:
        raise _too_long(path, error) from error


def _lstat(file: bytes, path: bytes) -> os.stat_result:
    try:
        return os.lstat(file)
    except OSError as error:
        raise _too_long(path, error) from error


def _too_long(path: bytes, error: OSError) -> Exception:
    return path_too_long(path) if error.errno == errno.ENAMETOOLONG else error


def _key(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino  # trap 12: an inode number alone says nothing


def _is_sparse(status: os.stat_result) -> bool:
    """Whether most of the file is holes, which tar can't leave out: they make layers of gigabytes (trap 17)."""
    return stat.S_ISREG(status.st_mode) and status.st_blocks * 1024 < status.st_size


def _xattr_names(file: bytes) -> list[str]:
    try:
        return os.listxattr(file, follow_symlinks=False)
    except OSError:  # ENOTSUP: a file system without extended attributes has none to carry
        return []


def _xattr(file: bytes, name: str) -> bytes | None:
    try:
        return os.getxattr(file, name, follow_symlinks=False)
    except OSError:
        return None
