"""A kernel's own file as a witness: the vmlinux inside of a vmlinuz.

Sources: Documentation/arch/x86/boot.rst; include/linux/export-internal.h, kernel/configs.c, init/version.c of the
kernel.
"""

from __future__ import annotations

import bisect
import re
from struct import Struct
from typing import TYPE_CHECKING, Final

from assembler.kernel.compression import Unpackable, packing_of, unpack
from assembler.kernel.elf import Elf, NotElf
from assembler.kernel.kernel import Kernel, Machine, known
from assembler.kernel.kernel_headers import make_vermagic, read_config
from assembler.kernel.module_signature import trusted_keys
from assembler.kernel.symbols import VMLINUX, Export, Listed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_SETUP: Final = 512
_X86_MAGIC: Final = b"HdrS"
_ZBOOT: Final = b"MZ\0\0zimg"
_BANNER: Final = re.compile(rb"Linux version (\S+) \(([^\n]*)\n")
_COMPILER: Final = re.compile(r"\(([\w.-]*(?:gcc|clang)[\w.-]* .*?), (?:GNU|LLD) ")
_DEBIAN: Final = b"debian-kernel@lists.debian.org"
_CONFIG: Final = b"IKCFG_ST"
_NO_NAME: Final = ""


def read_vmlinux(name: str, data: memoryview) -> Kernel:
    """What a vmlinuz or vmlinux tells. Unpackable says why its inside can't be seen."""
    image = _unpacked(data)
    origin = f"kernel image {name}"
    banner = _BANNER.search(image)
    if banner is None:
        raise Unpackable("it is no Linux kernel, or one that imgasm can't unpack")
    release = banner[1].decode("ascii", "replace")
    config = _config(image)
    said = _COMPILER.search(banner[0].decode("utf-8", "replace"))
    told = {
        "release": release,
        "config": config,
        "compiler": said[1] if said else None,
        "is_strict": True if _DEBIAN in banner[0] else None,
        "vermagic": _vermagic(image, release) or (None if config is None else make_vermagic(release, config)),
    }
    try:
        elf = Elf.parse(memoryview(image))
    except NotElf:  # arm64's and others' are plain machine code
        return known(name, origin, **told)
    exports = dict(_exports(elf, config or {}))
    return known(
        name, origin, **told,
        symbols=Listed(exports, is_complete=False) if exports else None,
        keys=trusted_keys(image, elf.end),
        machine=Machine(elf.machine, elf.bits, elf.end),
    )  # fmt: skip


def release_of(data: memoryview) -> str:
    """The release that a vmlinuz for x86 says before it is unpacked; nothing where it is another file."""
    if bytes(data[0x202:0x206]) != _X86_MAGIC:
        return ""
    at = int.from_bytes(data[0x20E:0x210], "little") + 0x200
    return bytes(data[at : at + 256]).partition(b"\0")[0].partition(b" ")[0].decode("ascii", "replace")


def _unpacked(data: memoryview) -> bytes:
    payload = data
    if bytes(data[0x202:0x206]) == _X86_MAGIC:
        offset, length = Struct("<II").unpack_from(data, 0x248)
        start = ((data[0x1F1] or 4) + 1) * _SETUP + offset
        payload = data[start : start + length]
    elif bytes(data[:8]) == _ZBOOT:
        offset, length = Struct("<II").unpack_from(data, 8)
        payload = data[offset : offset + length]
    packing = packing_of(payload)
    return unpack(payload, packing) if packing else bytes(payload)


def _config(image: bytes) -> dict[str, str] | None:
    """What /proc/config.gz gives out, where it is built in."""
    at = image.find(_CONFIG)
    if at < 0:
        return None
    try:
        text = unpack(memoryview(image)[at + len(_CONFIG) :], "gzip")
    except Unpackable:
        return None
    return read_config(text.decode("utf-8", "replace"))


def _vermagic(image: bytes, release: str) -> str | None:
    found = re.search(re.escape(release.encode()) + rb" ((?:SMP|preempt|mod_unload)[ -~]*)\0", image)
    return f"{release} {found[1].decode().rstrip()}" if found else None


def _exports(elf: Elf, config: Mapping[str, str]) -> Iterator[tuple[str, Export]]:
    """The tables __ksymtab and __kcrctab as kernels with relative references have them: three offsets of 32 bits, each
    from its own place, to value, name and namespace. CRCs that are references themselves (before 5.19) are not read.
    """
    strings = _Strings(elf)
    form, number = Struct(f"{elf.end}iii"), Struct(f"{elf.end}I")
    for name, is_gpl in (("__ksymtab", False), ("__ksymtab_gpl", True)):
        section, table = elf.find(name), elf.content(name)
        if section is None or table is None:
            continue
        crcs = None if config.get("MODULE_REL_CRCS") == "y" else elf.content("__kcrctab" + name[9:])
        for at in range(0, len(table) - len(table) % form.size, form.size):
            _, to_name, to_namespace = form.unpack_from(table, at)
            address = section.address + at
            symbol = strings.at(address + 4 + to_name)
            if not symbol.isidentifier() and "." not in symbol:
                return  # another form of table, in which this means nothing
            place = at // form.size * 4
            crc = number.unpack_from(crcs, place)[0] if crcs is not None and place + 4 <= len(crcs) else None
            namespace = strings.at(address + 8 + to_namespace) if to_namespace else _NO_NAME
            yield symbol, Export(crc, VMLINUX, is_gpl, namespace)


class _Strings:
    """Texts by the address that they have in the running kernel."""

    def __init__(self, elf: Elf) -> None:
        self._elf = elf
        self._sections = sorted((one for one in elf.sections if one.address and one.kind == 1), key=lambda one: one[3])
        self._starts = [section.address for section in self._sections]

    def at(self, address: int) -> str:
        number = bisect.bisect_right(self._starts, address) - 1
        if number < 0:
            return _NO_NAME
        section = self._sections[number]
        if address >= section.address + section.size:
            return _NO_NAME
        start = section.offset + address - section.address
        return bytes(self._elf.data[start : start + 512]).partition(b"\0")[0].decode("utf-8", "replace")
