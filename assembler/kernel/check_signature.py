"""Whether a kernel believes a module's signature: module_sig_check() in kernel/module/signing.c."""

from __future__ import annotations

from typing import TYPE_CHECKING

from assembler.kernel.verdict import Reason, Weight

if TYPE_CHECKING:
    from collections.abc import Iterator

    from assembler.kernel.kernel import Kernel
    from assembler.kernel.module import Module

_LOCKED = ("integrity", "confidentiality")


def of_signature(module: Module, kernel: Kernel) -> Iterator[Reason]:
    if kernel.has("MODULE_SIG") is False:
        return
    if not module.is_signed or module.signer is None:
        yield from _without(kernel, "unsigned module", "is not signed")
        return
    who = f"is signed by {module.signer}"
    if kernel.keys is None:
        weight = Weight.UNKNOWN if _is_enforced(kernel) or _is_locked(kernel) else Weight.NOTE
        what = f"{who}: whether the kernel has that key, only the kernel's file and the machine tell"
        yield Reason(weight, "key", what, kernel.origin("config", "host"))
    elif not any(key.is_of(module.signer) for key in kernel.keys):
        trusted = ", ".join(str(key) for key in kernel.keys) or "nobody"
        more = f"{who}, and the kernel trusts {trusted} (the machine may add keys: MOK, db)"
        yield from _without(kernel, "module with unavailable key", more)


def _without(kernel: Kernel, reason: str, what: str) -> Iterator[Reason]:
    """A module that the kernel can't believe, and whether that matters."""
    rule = "unsigned" if reason.startswith("unsigned") else "key"
    origins = kernel.origin("config", "keys", "host")
    if _is_enforced(kernel):
        words = f"Key was rejected by service: Loading of {reason} is rejected: it {what}"
        yield Reason(Weight.REFUSED, rule, words, origins)
    elif _is_locked(kernel):
        words = f"Operation not permitted: Lockdown: unsigned module loading is restricted: it {what}"
        yield Reason(Weight.REFUSED, rule, words, origins)
    elif kernel.has("MODULE_SIG") is None:
        words = f"{what}: nobody says whether the kernel wants a signature (CONFIG_MODULE_SIG_FORCE)"
        yield Reason(Weight.UNKNOWN, rule, words)
    elif kernel.host.sig_enforce is None or kernel.host.lockdown is None:
        words = f"{what}: refused where module.sig_enforce=1 or Secure Boot's lockdown is on"
        yield Reason(Weight.WARNING, rule, words, origins)


def _is_enforced(kernel: Kernel) -> bool:
    return bool(kernel.has("MODULE_SIG_FORCE") or kernel.host.sig_enforce)


def _is_locked(kernel: Kernel) -> bool:
    by_config = any(kernel.has(f"LOCK_DOWN_KERNEL_FORCE_{kind.upper()}") for kind in _LOCKED)
    return by_config or kernel.host.lockdown in _LOCKED
