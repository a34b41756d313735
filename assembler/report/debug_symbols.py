"""How much of an ELF file is there for debuggers alone: what ``strip --strip-debug`` would take away.

Only the section headers and their names are read (System V ABI, chapter 4, "Sections").
"""

from __future__ import annotations

from struct import Struct
from struct import error as StructError
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    Read = Callable[[int, int], bytes]
    """(offset, size): the bytes there, fewer at the file's end."""

_DEBUG: Final = (b".debug_", b".zdebug_", b".rela.debug_", b".rel.debug_", b".stab", b".gdb_index")
_MOST: Final = 1 << 22
"""Bytes of section headers, and of their names: a file that claims more is damaged."""

_ENDS: Final = {1: "<", 2: ">"}
_SECTION: Final = {1: "IIIIIIIIII", 2: "IIQQQQIIQQ"}
_TABLE: Final = {1: (32, "I", 46), 2: (40, "Q", 58)}
"""By class (32 or 64 bits): where the file header has the section table's offset, its format, and where three numbers
of 16 bits follow: one section header's size, how many there are, and which of them holds the names."""


def debug_bytes(read: Read) -> int:
    """Bytes of the sections with debugging information; 0 for what is not an ELF file, or a damaged one."""
    head = read(0, 64)
    if len(head) < 52 or not head.startswith(b"\x7fELF") or head[4] not in _TABLE or head[5] not in _ENDS:
        return 0
    try:
        return _debug_bytes(read, head, head[4], _ENDS[head[5]])
    except StructError:
        return 0


def _debug_bytes(read: Read, head: bytes, bits: int, end: str) -> int:
    at, form, numbers = _TABLE[bits]
    (table,) = Struct(end + form).unpack_from(head, at)
    entry, count, names_index = Struct(end + "HHH").unpack_from(head, numbers)
    section = Struct(end + _SECTION[bits])
    if not table or entry != section.size or count * entry > _MOST:
        return 0
    sections = [section.unpack_from(data, 0) for data in _pieces(read(table, count * entry), entry)]
    if names_index >= len(sections):
        return 0
    names = read(sections[names_index][4], min(sections[names_index][5], _MOST))
    return sum(size for name, _, _, _, _, size, *_ in sections if names.startswith(_DEBUG, name))


def _pieces(data: bytes, size: int) -> list[bytes]:
    return [data[start : start + size] for start in range(0, len(data), size)]
