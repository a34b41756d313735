"""Would this kernel take these modules? Told from files alone; nothing is booted, and nothing is inserted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from assembler.kernel.check_format import of_btf, of_compiler, of_file, of_packing, of_struct, of_vermagic
from assembler.kernel.check_signature import of_signature
from assembler.kernel.check_symbols import Inserted, Links, has_right_layout, is_proprietary, of_symbols, resolve
from assembler.kernel.verdict import Outcome, Reason, Verdict, Weight

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from assembler.kernel.kernel import Kernel
    from assembler.kernel.module import Module

KMOD: Final = frozenset({"gzip", "xz", "zstd"})
BUSYBOX: Final = frozenset({"gzip", "xz"})
"""What Debian's busybox and kmod decompress before they hand a module to the kernel."""

_PEERMEM: Final = "nvidia_peermem"
_PEERMEM_NEEDS: Final = "ib_register_peer_memory_client"


def judge(modules: Sequence[Module], kernel: Kernel, reads: frozenset[str] | None = None) -> list[Verdict]:
    """A verdict on each of ``modules``, which are inserted in this order.

    ``reads`` are the compressions that the program knows which inserts them; None: nobody knows. Modules of the
    kernel's own that they need are taken to be there, unless ``kernel.host.available`` says which are.
    """
    later = {symbol: module.name for module in modules for symbol in module.exports}
    inserted = Inserted(later)
    return [_verdict(module, kernel, inserted, reads) for module in modules]


def _verdict(module: Module, kernel: Kernel, inserted: Inserted, reads: frozenset[str] | None) -> Verdict:
    links, reasons = None, list(of_file(module, kernel))
    if not reasons:
        links, reasons = _looked_into(module, kernel, inserted)
        reasons += of_packing(module, reads)
    needs = tuple(links.needs) if links is not None else ()
    verdict = Verdict(module.name, module.path, kernel.name, kernel.release, tuple(reasons), needs)
    for symbol in module.exports:
        inserted.later.pop(symbol, None)
    if verdict.outcome is Outcome.REFUSED:
        inserted.refuse(module)
    else:
        inserted.insert(module, is_proprietary=is_proprietary(module, links, inserted))
    return verdict


def _looked_into(module: Module, kernel: Kernel, inserted: Inserted) -> tuple[Links | None, list[Reason]]:
    """All of the kernel's modules are read for what is missing only where that decides."""
    links = resolve(module, kernel, inserted, everywhere=False)
    reasons = list(_reasons(module, kernel, inserted, links))
    is_decided = any(reason.weight is Weight.REFUSED for reason in reasons)
    if links is not None and links.missing and not links.is_final and not is_decided:
        links = resolve(module, kernel, inserted, everywhere=True)
        reasons = list(_reasons(module, kernel, inserted, links))
    return links, reasons


def _reasons(module: Module, kernel: Kernel, inserted: Inserted, links: Links | None) -> Iterator[Reason]:
    """As the kernel itself goes about it: the signature first, then what modinfo says, then the symbols."""
    yield from of_signature(module, kernel)
    yield from of_vermagic(module, kernel)
    yield from of_struct(module, kernel, is_compared=has_right_layout(module, kernel))
    yield from of_symbols(module, kernel, links, inserted)
    yield from of_btf(module, kernel)
    yield from of_compiler(module, kernel)
    yield from _of_stubs(module)
    yield from _of_loaded(module, kernel)


def _of_stubs(module: Module) -> Iterator[Reason]:
    """NVIDIA's build makes an nvidia-peermem that does nothing, where it finds no InfiniBand driver's symbols."""
    if module.name == _PEERMEM and _PEERMEM_NEEDS not in module.imports:
        what = f"Invalid argument: it is NVIDIA's stub, whose init says so, because it has no {_PEERMEM_NEEDS}"
        yield Reason(Weight.REFUSED, "stub", what, ("the module",))


def _of_loaded(module: Module, kernel: Kernel) -> Iterator[Reason]:
    if kernel.host.loaded is not None and module.name in kernel.host.loaded:
        version = kernel.host.loaded[module.name]
        told = f" in version {version}" if version else ""
        yield Reason(Weight.WARNING, "loaded", f"File exists: {module.name} is loaded{told}", kernel.origin("host"))
