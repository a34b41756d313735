"""What a kernel wants of a module's file before it looks at its symbols: elf_validity_check() and check_modinfo() in
kernel/module/main.c, and what is compared nowhere but matters."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from assembler.kernel.elf import MACHINES
from assembler.kernel.verdict import Reason, Weight

if TYPE_CHECKING:
    from collections.abc import Iterator

    from assembler.kernel.kernel import Kernel
    from assembler.kernel.module import Module

REFUSED, UNKNOWN, WARNING, NOTE = Weight.REFUSED, Weight.UNKNOWN, Weight.WARNING, Weight.NOTE
_GCC: Final = re.compile(r"(\d+)\.\d+\.\d+")
_FORMAT: Final = "Invalid module format"
_FILE: Final = ("the module",)


def of_file(module: Module, kernel: Kernel) -> Iterator[Reason]:
    """Reasons that make all others idle."""
    if kernel.has("MODULES") is False:
        what = "the kernel takes no modules (CONFIG_MODULES is not set)"
        yield Reason(REFUSED, "no-modules", what, kernel.origin("config"))
    for damage in module.damage:
        yield Reason(REFUSED, damage.rule, f"{_FORMAT}: {damage.what}", _FILE)
    wanted = kernel.machine
    if not module.damage and wanted is not None and (module.machine, module.bits, module.end) != wanted:
        is_for = MACHINES.get(module.machine, f"machine {module.machine}")
        what = (f"{_FORMAT}: Invalid architecture in ELF header: {is_for}, {module.bits} bits, and the kernel is "
                f"{MACHINES.get(wanted.number, f'machine {wanted.number}')}, {wanted.bits} bits")  # fmt: skip
        yield Reason(REFUSED, "machine", what, kernel.origin("machine"))


def of_packing(module: Module, reads: frozenset[str] | None) -> Iterator[Reason]:
    """``reads`` are the compressions that the program knows which inserts the module; None: nobody knows it."""
    if module.packing is None:
        return
    what = f"is compressed with {module.packing}, which the program that inserts it must know"
    if reads is None:
        yield Reason(UNKNOWN, "compression", what, _FILE)
    elif module.packing not in reads:
        yield Reason(REFUSED, "compression", f"{_FORMAT}: it {what}, and the image's does not", _FILE)


def of_vermagic(module: Module, kernel: Kernel) -> Iterator[Reason]:
    origins = kernel.origin("vermagic")
    if not module.vermagic:
        can_force = kernel.has("MODULE_FORCE_LOAD")
        weight = WARNING if can_force else REFUSED if can_force is False else UNKNOWN
        yield Reason(weight, "vermagic", "bad vermagic: the module has none", kernel.origin("config"))
        return
    if kernel.vermagic is None:
        yield from _of_release(module, kernel)
        return
    counts = not skips_release(module, kernel)
    (release, *words), (wanted_release, *wanted) = module.vermagic.split(), kernel.vermagic.split()
    if words != wanted or (counts and release != wanted_release):
        what = f"version magic '{module.vermagic}' should be '{kernel.vermagic}'"
        yield Reason(REFUSED, "vermagic", what, origins)
    elif release != wanted_release:
        what = f"is compiled for {release}: the kernel compares the symbols' versions instead"
        yield Reason(NOTE, "vermagic", what, origins)


def _of_release(module: Module, kernel: Kernel) -> Iterator[Reason]:
    """Where of the kernel's own vermagic at most the release is known."""
    if kernel.release and module.release != kernel.release and kernel.has("MODVERSIONS") is False:
        what = f"version magic '{module.vermagic}' should be '{kernel.release} ...'"
        yield Reason(REFUSED, "vermagic", what, kernel.origin("release", "config"))
    else:
        what = f"version magic '{module.vermagic}': nobody says what the kernel's is"
        yield Reason(UNKNOWN, "vermagic", what)


def skips_release(module: Module, kernel: Kernel) -> bool:
    """Does the kernel leave the release out of the comparison (same_magic() in kernel/module/version.c)?"""
    return module.versions is not None and has_versions(kernel)


def has_versions(kernel: Kernel) -> bool:
    known = kernel.has("MODVERSIONS")
    return known if known is not None else "modversions" in (kernel.vermagic or "").split()


def of_struct(module: Module, kernel: Kernel, *, is_compared: bool) -> Iterator[Reason]:
    """``is_compared``: the CRC of module_layout, which has struct module in it, is known to be right."""
    if kernel.struct_size is None:
        if not is_compared:
            what = "sizeof(struct module) is not known: only a module of the kernel's own tells it"
            yield Reason(NOTE, "struct-module", what)
    elif module.struct_size != kernel.struct_size:
        what = (".gnu.linkonce.this_module section size must match the kernel's built struct module size: "
                f"{module.struct_size} bytes, and not {kernel.struct_size}")  # fmt: skip
        yield Reason(REFUSED, "struct-module", what, kernel.origin("struct_size"))


def of_btf(module: Module, kernel: Kernel) -> Iterator[Reason]:
    is_read = kernel.has("DEBUG_INFO_BTF_MODULES")
    if module.has_btf and is_read is not False and kernel.has("MODULE_ALLOW_BTF_MISMATCH") is not True:
        what = f"failed to validate module [{module.name}] BTF, or not: only the kernel itself compares it with its own"
        yield Reason(UNKNOWN, "btf", what, kernel.origin("config"))


def of_compiler(module: Module, kernel: Kernel) -> Iterator[Reason]:
    """What the kernel only warns of, or does not notice."""
    origins = kernel.origin("config")
    if (kernel.has("RETPOLINE") or kernel.has("MITIGATION_RETPOLINE")) and module.one("retpoline") != "Y":
        yield Reason(WARNING, "retpoline", "loading module not compiled with retpoline compiler", origins)
    theirs = _GCC.findall(kernel.compiler or "")
    ours = [version for text in module.compilers for version in _GCC.findall(text)[-1:]]
    if theirs and ours and theirs[-1] not in ours:
        what = f"is compiled with {'; '.join(module.compilers)}, the kernel with {kernel.compiler}"
        yield Reason(WARNING, "compiler", what, kernel.origin("compiler"))
