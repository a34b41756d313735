"""Tars that are unpacked with root's rights below a directory, and must not reach what is outside of it.

The directory is a container's root, seen from this machine: an absolute link in it, the base's or the tar's own, leads
to this machine's files for whoever goes through it. So nobody does: every parent of what is written is a directory.
"""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from assembler.errors import EngineError
from assembler.layer.byte_streams import Pieces, Tapped
from assembler.layer.read_tar import BLOCK, END, TarReader
from assembler.model.node import Kind, shown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from assembler.layer.read_tar import Member, Readable


def staying_inside(tar: Readable, root: bytes) -> Readable:
    """The same bytes. EngineError before the header of a member that would be written outside of ``root``, ImageError
    before one that not every reader understands in the same way."""
    return Pieces(_checked(tar, root))


def _checked(tar: Readable, root: bytes) -> Iterator[bytes]:
    """No byte is given on before the member that it belongs to is known; padding goes with the next header."""
    ahead, known, inside = bytearray(), 0, Inside(root)

    def until(position: int) -> bytes:
        nonlocal known
        piece = bytes(ahead[: position - known])
        del ahead[: position - known]
        known = position
        return piece

    for member in TarReader(Tapped(tar, ahead.extend)):
        inside.admit(member)
        yield until(member.data_offset)
        for chunk in member.chunks():
            yield until(known + len(chunk))
    yield bytes(-known % BLOCK) + END * 2


class Inside:
    """``root`` with what was found of it so far."""

    def __init__(self, root: bytes) -> None:
        self._root = root
        self._directories: set[bytes] = {b""}
        self._others: set[bytes] = set()

    def admit(self, member: Member) -> None:
        path = member.path
        if path in self._others or (path in self._directories and member.kind is not Kind.DIRECTORY):
            raise _leads_out(path, "is there twice")
        self.refuse_detour(path)
        if member.is_link:
            self.refuse_detour(member.link)
        if member.kind is Kind.DIRECTORY:
            self._enter(path)
        else:
            self._others.add(path)

    def refuse_detour(self, path: bytes) -> None:
        """EngineError unless every parent of ``path`` is a directory, or not there yet."""
        parts = path.split(b"/")
        if b".." in parts or b"\0" in path or path.startswith(b"/"):
            raise _leads_out(path, "leads out of the container")
        for end in range(1, len(parts)):
            self._enter(b"/".join(parts[:end]))

    def _enter(self, path: bytes) -> None:
        if path in self._directories:
            return
        if path in self._others or not _is_directory(os.path.join(self._root, path)):
            raise _leads_out(path, "is no directory")
        self._directories.add(path)


def _is_directory(path: bytes) -> bool:
    try:
        return stat.S_ISDIR(os.lstat(path).st_mode)
    except FileNotFoundError:
        return True  # it will be made


def _leads_out(path: bytes, why: str) -> EngineError:
    return EngineError(f"the checkpoint is not one that imgasm makes: {shown(path)} {why}",
                       hint="Remove it: imgasm cache --prune --max-size 0. Then find out who wrote it.")
