"""What a module says about itself: its file alone, before any kernel is asked.

Sources: include/linux/module.h and export.h of the kernel, scripts/mod/modpost.c.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from struct import Struct
from typing import TYPE_CHECKING, Final

from assembler.kernel import module_signature
from assembler.kernel.compression import Unpackable, packing_of, unpack
from assembler.kernel.elf import ABSOLUTE, RELOCATABLE, RESERVED, UNDEFINED, WEAK, Elf, NotElf
from assembler.kernel.module_signature import Signer, signer_of
from assembler.kernel.symbols import Export, module_name
from assembler.model.printable import printable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_GPL: Final = frozenset({
    "GPL", "GPL v2", "GPL and additional rights", "Dual BSD/GPL", "Dual MIT/GPL", "Dual MPL/GPL",
})  # fmt: skip
"""license_is_gpl_compatible() in include/linux/license.h."""

_THIS: Final = ".gnu.linkonce.this_module"
_VERSION: Final = 64
"""Bytes of an entry in __versions: a CRC as wide as a long, then the symbol's name."""


@dataclass(frozen=True, slots=True)
class Damage:
    """Why a file is no module that any kernel takes."""

    rule: str
    what: str


@dataclass(frozen=True, slots=True)
class Module:
    """One file. ``path`` is where it is, as people know it; ``packing`` what it is compressed with.

    ``imports`` are its undefined symbols; True for the weak ones, which nobody must have. ``versions`` are the CRCs
    that it was compiled with; None where it has no table of them. ``struct_size`` is its struct module's, in bytes;
    None where there is none.
    """

    path: str
    name: str
    packing: str | None = None
    info: Mapping[str, Sequence[str]] = field(default_factory=dict)
    bits: int = 64
    end: str = "<"
    machine: int = 0
    struct_size: int | None = None
    imports: Mapping[str, bool] = field(default_factory=dict)
    exports: Mapping[str, Export] = field(default_factory=dict)
    versions: Mapping[str, int] | None = None
    is_signed: bool = False
    signer: Signer | None = None
    has_btf: bool = False
    compilers: tuple[str, ...] = ()
    damage: tuple[Damage, ...] = ()

    def one(self, key: str) -> str:
        """The first value of ``key`` in its modinfo, or nothing."""
        return next(iter(self.info.get(key, ())), "")

    @property
    def vermagic(self) -> str:
        return self.one("vermagic").rstrip()

    @property
    def release(self) -> str:
        """The kernel's that it was compiled for."""
        return self.vermagic.partition(" ")[0]

    @property
    def version(self) -> str:
        return self.one("version")

    @property
    def license(self) -> str:
        return self.one("license") or "unspecified"

    @property
    def is_gpl(self) -> bool:
        return self.license in _GPL

    @property
    def depends(self) -> tuple[str, ...]:
        return tuple(module_name(name) for name in self.one("depends").split(",") if name)


def read_module(path: str, data: memoryview) -> Module:
    """What the file says. One that is none, or damaged, says so in ``damage``."""
    name, packing = module_name(path), packing_of(data)
    try:
        plain = memoryview(unpack(data, packing)) if packing else data
        unsigned, message = module_signature.split(plain)
        return _read(path, Elf.parse(unsigned), packing, message)
    except Unpackable as error:
        return Module(path, name, packing, damage=(Damage("compression", str(error)),))
    except module_signature.Unreadable as error:
        return Module(path, name, packing, damage=(Damage("signature", f"its signature can't be read: {error}"),))
    except NotElf as error:
        return Module(path, name, packing, damage=(Damage(error.rule, str(error)),))


def _read(path: str, elf: Elf, packing: str | None, message: memoryview | None) -> Module:
    info = _info(elf)
    name = module_name(info.get("name", [path])[0])
    imports, exports = _symbols(elf, name)
    this = elf.find(_THIS)
    return Module(
        path, name, packing, info, elf.bits, elf.end, elf.machine, this.size if this else None, imports, exports,
        _versions(elf), message is not None, _signer(message), elf.find(".BTF") is not None, _compilers(elf),
        tuple(_damage(elf)),
    )  # fmt: skip


def _damage(elf: Elf) -> list[Damage]:
    found = []
    if elf.kind != RELOCATABLE:
        found.append(Damage("elf", "it is no relocatable ELF file"))
    if elf.find(_THIS) is None:
        found.append(Damage("elf", f"No module found in object: it has no section {_THIS}"))
    if not elf.has_symbols:
        found.append(Damage("elf", "module has no symbols (stripped?)"))
    return found


def _info(elf: Elf) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for item in bytes(elf.content(".modinfo") or b"").split(b"\0"):
        key, is_pair, value = item.decode("utf-8", "replace").partition("=")
        if is_pair:
            found.setdefault(printable(key), []).append(printable(value))
    return found


def _symbols(elf: Elf, owner: str) -> tuple[dict[str, bool], dict[str, Export]]:
    """Imports and exports. An export is a symbol __ksymtab_NAME in one of two sections, with __crc_NAME beside it."""
    gpl = {number: section.name == "__ksymtab_gpl" for number, section in enumerate(elf.sections)
           if section.name in ("__ksymtab", "__ksymtab_gpl")}  # fmt: skip
    imports: dict[str, bool] = {}
    exported: dict[str, bool] = {}
    crcs: dict[str, int] = {}
    namespaces: dict[str, str] = {}
    for symbol in elf.symbols():
        name = symbol.name
        if symbol.section == UNDEFINED:
            if name:
                imports[name] = symbol.binding == WEAK
        elif name.startswith("__ksymtab_") and symbol.section in gpl:
            exported[name[10:]] = gpl[symbol.section]
        elif name.startswith("__crc_"):
            if (crc := _crc(elf, symbol.section, symbol.value)) is not None:
                crcs[name[6:]] = crc
        elif name.startswith("__kstrtabns_") and 0 < symbol.section < len(elf.sections):
            namespaces[name[12:]] = _text(elf, symbol.section, symbol.value)
    return imports, {
        name: Export(crcs.get(name), owner, is_gpl, namespaces.get(name, "")) for name, is_gpl in exported.items()
    }


def _crc(elf: Elf, section: int, value: int) -> int | None:
    if section == ABSOLUTE:
        return value & 0xFFFFFFFF
    if section >= min(RESERVED, len(elf.sections)):
        return None
    data = elf.bytes_of(elf.sections[section])
    return Struct(elf.end + "I").unpack_from(data, value)[0] if value + 4 <= len(data) else None


def _text(elf: Elf, section: int, at: int) -> str:
    return bytes(elf.bytes_of(elf.sections[section])[at : at + 256]).partition(b"\0")[0].decode("utf-8", "replace")


def _versions(elf: Elf) -> dict[str, int] | None:
    """The old table, and since 6.14 the one for names of any length; the kernel prefers the latter where both are."""
    crcs, names = elf.content("__version_ext_crcs"), elf.content("__version_ext_names")
    if crcs is not None and names is not None:
        numbers = Struct(elf.end + "I").iter_unpack(crcs[: len(crcs) - len(crcs) % 4])
        texts = bytes(names).split(b"\0")
        return {name.decode("utf-8", "replace"): crc for (crc,), name in zip(numbers, texts, strict=False)}
    table = elf.content("__versions")
    if table is None:
        return None
    form = Struct(f"{elf.end}{'Q56s' if elf.bits == 64 else 'I60s'}")
    assert form.size == _VERSION
    whole = table[: len(table) - len(table) % _VERSION]
    return {name.partition(b"\0")[0].decode("utf-8", "replace"): crc & 0xFFFFFFFF
            for crc, name in form.iter_unpack(whole)}  # fmt: skip


def _signer(message: memoryview | None) -> Signer | None:
    return None if message is None else signer_of(message)


def _compilers(elf: Elf) -> tuple[str, ...]:
    texts = bytes(elf.content(".comment") or b"").split(b"\0")
    return tuple(dict.fromkeys(printable(text.decode("utf-8", "replace")) for text in texts if text))


def in_order(modules: Sequence[Module]) -> list[Module]:
    """The same, each behind those of them that it needs; as they came, where some need each other."""
    owners = {symbol: module.name for module in modules for symbol in module.exports}
    named = {module.name: number for number, module in enumerate(modules)}
    needs = {
        number: {named[name] for name in (*module.depends, *(owners.get(symbol, "") for symbol in module.imports))
                 if name in named and named[name] != number}
        for number, module in enumerate(modules)
    }  # fmt: skip
    try:
        return [modules[number] for number in TopologicalSorter(needs).static_order()]
    except CycleError:
        return list(modules)
