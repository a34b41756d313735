"""Reads a tar archive for what is wrong with it: a fault is told, and reading goes on wherever a length can be read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from assembler.errors import ImageError
from assembler.layer import tar_fields
from assembler.layer.read_tar import (
    BLOCK,
    EXTENSION_CAP,
    HARD_LINK,
    KINDS,
    PATH_MAX,
    RECORDS,
    SPARSE,
    Member,
    TarReader,
)
from assembler.model.node import Kind

if TYPE_CHECKING:
    from collections.abc import Callable

    from assembler.layer.read_tar import Readable
    from assembler.layer.tar_fields import Records

HIDDEN: Final = "bytes hidden in padding"
_LINKS: Final = (HARD_LINK, b"2")
_TEXTS: Final = [slice(0, 100), slice(157, 257)]
_GNU_TEXTS: Final = [*_TEXTS, slice(265, 297), slice(297, 329)]
_USTAR_TEXTS: Final = [*_GNU_TEXTS, slice(345, 500)]


class Salvager(TarReader):
    """``note`` gets each fault in words, and the name of the member that has it, if there is one.

    Of a member that can't be understood come name, kind and length; the name is empty where there is none. An
    ImageError is the end: the rest of the archive can't be read.
    """

    def __init__(self, stream: Readable, note: Callable[[str, bytes | None], None]) -> None:
        super().__init__(stream)
        self._note = note

    def _leave(self, member: Member) -> None:
        self._source.skip(self._left)
        if member.size % BLOCK and self._source.exactly(-member.size % BLOCK).strip(b"\0"):
            self._note(HIDDEN, member.name)

    def _extend(self, extensions: dict[bytes, bytes], block: bytes, flag: bytes) -> None:
        if _hides_bytes(block):
            self._note(HIDDEN, None)
        if extensions.pop(flag, None) is not None:
            self._note("a member has the same extended header twice", None)
        size = tar_fields.count({}, b"size", block[124:136])
        if size <= EXTENSION_CAP:
            super()._extend(extensions, block, flag)
        else:
            self._note(f"an extended header of {size} bytes is too long", None)
            self._source.skip(size + -size % BLOCK)

    def _extension(self, block: bytes) -> bytes:
        size = tar_fields.count({}, b"size", block[124:136])
        data = self._source.exactly(size + -size % BLOCK)
        if data[size:].strip(b"\0"):
            self._note(HIDDEN, None)
        return data[:size]

    def _add_globals(self, data: bytes) -> None:
        try:
            super()._add_globals(data)
        except ImageError as error:
            self._note(error.message, None)

    def _member(self, block: bytes, flag: bytes, extensions: dict[bytes, bytes], start: int) -> Member:
        try:
            member = super()._member(block, flag, extensions, start)
        except ImageError as error:
            member = self._rescued(block, flag, extensions)
            self._note(error.message, member.name or None)
        if _hides_bytes(block):
            self._note(HIDDEN, member.name or None)
        return member

    def _rescued(self, block: bytes, flag: bytes, extensions: dict[bytes, bytes]) -> Member:
        records: Records = {}
        try:
            tar_fields.parse_records(extensions.get(RECORDS, b""), records)
        except ImageError:
            pass  # what stands before the fault counts; it was reported already
        size = tar_fields.count(records, b"size", block[124:136])
        is_link = flag == HARD_LINK
        kind = KINDS.get(flag, Kind.REGULAR)
        if kind is not Kind.REGULAR or is_link:
            size = 0
        if flag == SPARSE:
            self._skip_map(block)
        name = _text(block[:100], records.get(b"GNU.sparse.name") or records.get(b"path"))
        link = _text(block[157:257], records.get(b"linkpath"))
        return Member(name, kind, is_link, 0, 0, 0, 0, size, link, records, block, self._source.position, BLOCK, self)

    def _skip_map(self, block: bytes) -> None:
        """What GNU's old form has between a sparse file's header and its data."""
        goes_on = any(block[482:483])
        while goes_on:
            goes_on = any(self._source.exactly(BLOCK)[504:505])


def _text(field: bytes, record: bytes | None) -> bytes:
    """A path of a member that is wrong; empty rather than one that no engine could use."""
    text = field.partition(b"\0")[0] if record is None or b"\0" in record else record
    return text if len(text) <= PATH_MAX else b""


def _hides_bytes(block: bytes) -> bool:
    """Whether anything stands in a header where nothing is read: behind a text's NUL, or behind the last field."""
    texts, rest = _TEXTS, block[257:329] + block[345:]  # GNU's tar has device numbers in V7 headers, too
    if block[257:263] == b"ustar\0":
        texts, rest = _USTAR_TEXTS, block[500:]
    elif block[257:265] == b"ustar  \0":
        texts, rest = _GNU_TEXTS, block[495:]  # GNU's fields for sparse files and times take the prefix's place
    if rest.strip(b"\0") or (block[157] and block[156:157] not in _LINKS):
        return True
    return any(block[field].rstrip(b"\0").find(b"\0") >= 0 for field in texts)
