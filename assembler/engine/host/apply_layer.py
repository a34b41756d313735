"""A program of its own: unpacks a layer over those that are there, in the one directory that it can see.

Nothing in the layer can lead out of it: the directory is this process's ``/``. An entry takes the place of what is
there, unless both are directories; a parent that is no directory is replaced, as in an overlay; a whiteout hides what
lower layers have (image-spec layer.md, "Applying Changesets"; traps 1 and 2).
"""

from __future__ import annotations

import os
import shutil
import stat
import sys
from typing import TYPE_CHECKING, BinaryIO

from assembler.errors import ImgasmError
from assembler.layer.entry import hidden_by
from assembler.layer.read_tar import read_tar
from assembler.model.node import Kind

if TYPE_CHECKING:
    from assembler.layer.read_tar import Member
    from assembler.model.node import Node

_DEVICES = {Kind.CHARACTER: stat.S_IFCHR, Kind.BLOCK: stat.S_IFBLK, Kind.FIFO: stat.S_IFIFO}


def main(directory: str) -> None:
    """Standard input is the layer, uncompressed."""
    os.chroot(directory)
    os.chdir("/")
    os.umask(0)
    try:
        _Rootfs().apply(sys.stdin.buffer)
    except ImgasmError as error:
        raise SystemExit(error.message) from error
    except OSError as error:
        raise SystemExit(f"{error.filename}: {error.strerror}") from error


class _Rootfs:
    def __init__(self) -> None:
        self._made: set[bytes] = set()
        self._times: dict[bytes, int] = {}

    def apply(self, layer: BinaryIO) -> None:
        for member in read_tar(layer):
            hidden = hidden_by(member.path)
            if hidden is None:
                self._put(member)
            elif (name := hidden[1]) is not None:
                self._hide(_below(hidden[0], name))
            elif os.path.isdir(_place(hidden[0])):
                for each in os.listdir(_place(hidden[0])):
                    self._hide(_below(hidden[0], each))
        for path in sorted(self._times, key=len, reverse=True):
            os.utime(_place(path), (self._times[path], self._times[path]))

    def _put(self, member: Member) -> None:
        path, node = member.path, member.node()
        self._prepare(path, node)
        if member.is_link:
            os.link(_place(member.link), _place(path), follow_symlinks=False)
        else:
            _make(member, node, _place(path))
            _describe(node, _place(path))
        if node.kind is Kind.DIRECTORY:
            self._times[path] = node.mtime
        self._made.add(path)

    def _prepare(self, path: bytes, node: Node) -> None:
        """Parents are there, and nothing in the way."""
        for length in (at for at, byte in enumerate(path) if byte == ord("/")):
            above = path[:length]
            if not _is_directory(above):
                _remove(above)
                os.mkdir(_place(above), 0o755)
            self._keep_time(above)
            self._made.add(above)
        self._keep_time(path.rpartition(b"/")[0])
        if path and not (node.kind is Kind.DIRECTORY and _is_directory(path)):
            _remove(path)

    def _keep_time(self, directory: bytes) -> None:
        """What the layer does not mention of a directory that it writes to stays as it is."""
        if directory not in self._times:
            self._times[directory] = int(os.stat(_place(directory)).st_mtime)

    def _hide(self, path: bytes) -> None:
        """``path`` and what is below it, as far as lower layers made it."""
        if path not in self._made:
            _remove(path)
        elif _is_directory(path):
            for name in os.listdir(_place(path)):
                self._hide(_below(path, name))


def _make(member: Member, node: Node, place: bytes) -> None:
    if node.kind is Kind.REGULAR:
        with open(place, "xb") as file:
            for chunk in member.chunks():
                file.write(chunk)
    elif node.kind is Kind.SYMLINK:
        os.symlink(node.target, place)
    elif node.kind is not Kind.DIRECTORY:
        os.mknod(place, _DEVICES[node.kind] | 0o600, os.makedev(*node.device))
    elif not os.path.isdir(place):
        os.mkdir(place)


def _describe(node: Node, place: bytes) -> None:
    """The owner before the mode and the capabilities, which a change of it takes away."""
    os.chown(place, node.uid, node.gid, follow_symlinks=False)
    if node.kind is not Kind.SYMLINK:
        os.chmod(place, node.mode)
    for name, value in node.xattrs:
        os.setxattr(place, name, value, follow_symlinks=False)
    if node.kind is not Kind.DIRECTORY:
        os.utime(place, (node.mtime, node.mtime), follow_symlinks=False)


def _remove(path: bytes) -> None:
    place = _place(path)
    if _is_directory(path):
        shutil.rmtree(place)
    elif os.path.lexists(place):
        os.unlink(place)


def _is_directory(path: bytes) -> bool:
    return os.path.isdir(_place(path)) and not os.path.islink(_place(path))


def _place(path: bytes) -> bytes:
    return b"/" + path


def _below(directory: bytes, name: bytes) -> bytes:
    return directory + b"/" + name if directory else name
