"""Which platform the files of a rootfs are for: what its package database and its programs say.

Sources: deb-control(5) "Architecture", apk's etc/apk/arch, and the file header of ELF (System V ABI, chapter 4,
"ELF Header"; the kernel's include/uapi/linux/elf-em.h).
"""

from __future__ import annotations

from collections import Counter
from struct import Struct
from typing import TYPE_CHECKING, Final

from assembler.layer.read_tar import read_tar
from assembler.model.node import Kind
from assembler.model.platform import Platform

if TYPE_CHECKING:
    from collections.abc import Iterator

    from assembler.layer.read_tar import Member, Readable

HEAD: Final = 20
"""Bytes of a file that tell its machine."""

_MACHINES: Final = {
    (3, 1, "<"): "386", (62, 2, "<"): "amd64", (62, 1, "<"): "amd64", (40, 1, "<"): "arm", (183, 2, "<"): "arm64",
    (21, 2, "<"): "ppc64le", (21, 2, ">"): "ppc64", (22, 2, ">"): "s390x", (243, 2, "<"): "riscv64",
    (258, 2, "<"): "loong64",
    (8, 1, "<"): "mipsle", (8, 1, ">"): "mips", (8, 2, "<"): "mips64le", (8, 2, ">"): "mips64",
}  # fmt: skip
"""GOARCH by (e_machine, class, byte order)."""

_ALPINE: Final = {
    "x86_64": "amd64", "x86": "386", "aarch64": "arm64", "armv7": "arm/v7", "armhf": "arm/v6", "ppc64le": "ppc64le",
    "s390x": "s390x", "riscv64": "riscv64", "loongarch64": "loong64",
}  # fmt: skip

_DPKG: Final = b"var/lib/dpkg/status"
_DPKG_ARCH: Final = b"var/lib/dpkg/arch"
"""The native architecture first, then those that were added (dpkg --add-architecture)."""
_APK: Final = b"etc/apk/arch"
_PROGRAMS: Final = frozenset({b"bin", b"sbin", b"usr/bin", b"usr/sbin", b"usr/local/bin"})
FIRMWARE: Final = (b"lib/firmware/", b"usr/lib/firmware/")
_DATABASE_CAP: Final = 64_000_000
"""Bytes. A Debian desktop's is 5 MB."""


def elf_machine(head: bytes) -> str | None:
    """The architecture that a file is for, in Go's names, by its first :data:`HEAD` bytes; None for no ELF file."""
    end = {1: "<", 2: ">"}.get(head[5]) if len(head) >= HEAD and head.startswith(b"\x7fELF") else None
    if end is None:
        return None
    (machine,) = Struct(f"{end}H").unpack_from(head, 18)
    return _MACHINES.get((machine, head[4], end))


def platform_of_rootfs(tar: Readable) -> Platform | None:
    """What the rootfs in the plain ``tar`` is for; None where nothing in it says.

    The package manager knows best, also the variant. Else the programs decide: a rootfs can hold libraries and
    compilers for other machines, and firmware for processors of its own.
    """
    programs: Counter[str] = Counter()
    others: Counter[str] = Counter()
    told: Platform | None = None
    for member in read_tar(tar):
        if member.kind is not Kind.REGULAR or member.is_link or not member.size:
            continue
        path = member.path
        if path == _DPKG:
            told = told or _of_dpkg(member.read(_DATABASE_CAP))
        elif path == _DPKG_ARCH:
            told = Platform.of_debian(_line(member.read(_DATABASE_CAP)))
        elif path == _APK:
            told = told or _of_apk(member.read(_DATABASE_CAP))
        elif not path.startswith(FIRMWARE) and (machine := elf_machine(_head(member))):
            (programs if path.rpartition(b"/")[0] in _PROGRAMS else others)[machine] += 1
    if told is not None:
        return told
    machine = _most(programs) or (next(iter(others)) if len(others) == 1 else None)
    return Platform("linux", machine) if machine else None


def _head(member: Member) -> bytes:
    return next(iter(member.chunks()), b"")[:HEAD]


def _most(machines: Counter[str]) -> str | None:
    """The one that most are for. Where two have as many, nothing is said."""
    best = machines.most_common(2)
    return None if not best or (len(best) == 2 and best[0][1] == best[1][1]) else best[0][0]


def _of_dpkg(status: bytes) -> Platform | None:
    """dpkg's own package is always the native architecture's; a rootfs that lost it may say so by another."""
    found = dict(_packages(status))
    name = found.get(b"dpkg") or next(iter(found.values()), None)
    return Platform.of_debian(name.decode("ascii", "replace")) if name else None


def _packages(status: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Name and architecture of what is not for all."""
    for stanza in status.split(b"\n\n"):
        fields = dict(line.split(b": ", 1) for line in stanza.split(b"\n") if line[:1].isalpha() and b": " in line)
        name, architecture = fields.get(b"Package"), fields.get(b"Architecture", b"all")
        if name and architecture != b"all":
            yield name, architecture


def _of_apk(text: bytes) -> Platform | None:
    known = _ALPINE.get(_line(text))
    return Platform("linux", *known.split("/")) if known else None


def _line(text: bytes) -> str:
    """The first."""
    return text.split(b"\n", 1)[0].decode("ascii", "replace").strip()
