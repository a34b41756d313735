"""Rootfs tarballs, which become bases: what engines refuse in one is mended or named before anything is made of it."""

from __future__ import annotations

import os
import tarfile
from typing import TYPE_CHECKING, Final

from assembler.errors import ImageError
from assembler.layer.read_tar import BLOCK, read_tar
from assembler.model.printable import printable

if TYPE_CHECKING:
    from typing import BinaryIO

    from assembler.layer.read_tar import Readable

_DEV: Final = b"dev"
_CHUNK: Final = 1 << 20


def with_empty_dev(tar: BinaryIO, sink: BinaryIO, epoch: int) -> None:
    """Copies ``tar``, which can be seeked in, to ``sink``: /dev stands in it once and is empty, all else is as it was.

    Device nodes can't be unpacked without privilege (trap 18), and engines bring their own. ``epoch`` (seconds) dates
    a /dev that ``tar`` lacks.
    """
    members = _members(tar)
    kept = [(start, end) for path, start, end in members if path != _DEV and not path.startswith(_DEV + b"/")]
    behind = max((end for _, _, end in members), default=0)
    sink.write(_directory("./dev/", epoch))
    for start, end in [*kept, (behind, tar.seek(0, os.SEEK_END))]:
        tar.seek(start)
        while start < end:
            chunk = tar.read(min(end - start, _CHUNK))
            sink.write(chunk)
            start += len(chunk)


def _members(tar: BinaryIO) -> list[tuple[bytes, int, int]]:
    """Each member's path, and where its headers begin and its padding ends."""
    return [
        (member.path, member.data_offset - member.header_size, member.data_offset + member.size + -member.size % BLOCK)
        for member in read_tar(tar)
    ]


def _directory(name: str, epoch: int) -> bytes:
    member = tarfile.TarInfo(name)
    member.type, member.mode, member.mtime = tarfile.DIRTYPE, 0o755, epoch
    return member.tobuf(tarfile.USTAR_FORMAT)


def refuse_doubles(tar: Readable, name: str) -> None:
    """ImageError when a path stands in ``tar`` twice: Docker and podman take no such layer (vbatts/tar-split)."""
    seen: set[bytes] = set()
    for member in read_tar(tar):
        if member.path in seen:
            path = printable(member.path.decode(errors="replace"))
            raise ImageError(f"/{path} is in {name} twice, and engines refuse such a layer",
                             hint="Unpack the tarball into an empty directory and pack that.")  # fmt: skip
        seen.add(member.path)
