"""What kernels are linked as: ELF files, read in place (System V ABI, chapter 4).

Nothing is copied but what is asked for: nvidia.ko has 65 MB, of which a verdict needs the symbols' names. pyelftools
makes an object of each of its 51,522 symbols, which takes 1.2 s of processor; this takes 0.01 s (measured).
"""

from __future__ import annotations

from dataclasses import dataclass
from struct import Struct
from struct import error as StructError
from typing import TYPE_CHECKING, Final, NamedTuple

from assembler.model.printable import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

MAGIC: Final = b"\x7fELF"
RELOCATABLE: Final = 1
"""ET_REL: what a module is."""
UNDEFINED: Final = 0
ABSOLUTE: Final = 0xFFF1
RESERVED: Final = 0xFF00
WEAK: Final = 2
_NOBITS: Final = 8
_SYMTAB: Final = 2

_ENDS: Final = {1: "<", 2: ">"}
_HEADER: Final = {32: "HHIIIIIHHHHHH", 64: "HHIQQQIHHHHHH"}
_SECTION: Final = {32: "IIIIIIIIII", 64: "IIQQQQIIQQ"}
_SYMBOL: Final = {32: "IIIBBH", 64: "IBBHQQ"}
_BITS: Final = {1: 32, 2: 64}

MACHINES: Final = {
    3: "x86", 8: "mips", 20: "ppc", 21: "ppc64", 22: "s390", 40: "arm", 62: "x86-64", 183: "arm64", 243: "riscv",
    258: "loongarch",
}  # fmt: skip


class NotElf(Exception):
    """Why the bytes are no whole ELF file, as a part of a sentence. ``rule`` tells programs."""

    def __init__(self, what: str, rule: str = "elf") -> None:
        super().__init__(what)
        self.rule = rule


class Section(NamedTuple):
    name: str
    kind: int
    flags: int
    address: int
    offset: int
    size: int
    link: int


class Symbol(NamedTuple):
    """``section`` is an index, or one of the special numbers; ``binding`` one of STB_*."""

    name: str
    binding: int
    section: int
    value: int


@dataclass(frozen=True, slots=True)
class Elf:
    """The file's headers; ``data`` are its bytes. ``bits`` is 32 or 64, ``end`` the byte order as struct has it."""

    data: memoryview
    bits: int
    end: str
    kind: int
    machine: int
    sections: tuple[Section, ...]

    @classmethod
    def parse(cls, data: memoryview) -> Elf:
        """NotElf says why there is none: another kind of file, cut off, or damaged."""
        if bytes(data[:4]) != MAGIC:
            raise NotElf("it is no ELF file")
        if len(data) < 64 or data[4] not in _BITS or data[5] not in _ENDS:
            raise NotElf("its ELF header is cut off or damaged")
        bits, end = _BITS[data[4]], _ENDS[data[5]]
        kind, machine, _, _, _, table, _, _, _, _, entry, count, names = Struct(end + _HEADER[bits]).unpack_from(
            data, 16
        )
        section = Struct(end + _SECTION[bits])
        if not count or entry != section.size:
            raise NotElf("it has no section headers")
        if table + count * entry > len(data):
            raise NotElf("it is cut off: its section headers lie behind its end", "truncated")
        raw = [section.unpack_from(data, table + number * entry) for number in range(count)]
        if names >= count or raw[names][4] + raw[names][5] > len(data):
            raise NotElf("the names of its sections are not there", "truncated")
        texts = data[raw[names][4] : raw[names][4] + raw[names][5]]
        return cls(data, bits, end, kind, machine, tuple(_sections(raw, texts, len(data))))

    def find(self, name: str) -> Section | None:
        return next((section for section in self.sections if section.name == name), None)

    def content(self, name: str) -> memoryview | None:
        """The bytes of a section; None if there is none of that name, or none with bytes."""
        section = self.find(name)
        return None if section is None or section.kind == _NOBITS else self.bytes_of(section)

    def bytes_of(self, section: Section) -> memoryview:
        return self.data[section.offset : section.offset + section.size]

    @property
    def has_symbols(self) -> bool:
        return any(section.kind == _SYMTAB for section in self.sections)

    def symbols(self) -> Iterator[Symbol]:
        """Those that are undefined, and those that begin with two underscores: what tells of imports and exports.

        NotElf where the table can't be read.
        """
        table = next((section for section in self.sections if section.kind == _SYMTAB), None)
        if table is None:
            return
        if table.link >= len(self.sections):
            raise NotElf("its symbols have no names")
        form = Struct(self.end + _SYMBOL[self.bits])
        entries, names = self.bytes_of(table), bytes(self.bytes_of(self.sections[table.link]))
        whole = entries[: len(entries) - len(entries) % form.size]
        try:
            if self.bits == 64:
                for name, info, _, section, value, _ in form.iter_unpack(whole):
                    if section == UNDEFINED or names.startswith(b"__", name):
                        yield Symbol(_text(names, name), info >> 4, section, value)
            else:
                for name, value, _, info, _, section in form.iter_unpack(whole):
                    if section == UNDEFINED or names.startswith(b"__", name):
                        yield Symbol(_text(names, name), info >> 4, section, value)
        except StructError as error:
            raise NotElf("its symbols are damaged") from error


def _sections(raw: list[tuple[int, ...]], names: memoryview, length: int) -> Iterator[Section]:
    texts = bytes(names)
    for name, kind, flags, address, offset, size, link, *_ in raw:
        text = _text(texts, name)
        if kind not in (_NOBITS, 0) and offset + size > length:
            raise NotElf(f"it is cut off: its section {printable(text)} lies behind its end", "truncated")
        yield Section(text, kind, flags, address, offset, size, link)


def _text(names: bytes, at: int) -> str:
    stop = names.find(b"\0", at)
    return names[at : stop if stop >= 0 else len(names)].decode("utf-8", "replace")
