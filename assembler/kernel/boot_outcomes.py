"""What a booted kernel did with modules, from what it answered."""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from assembler.kernel.guest import Answer, Answers
    from assembler.kernel.module import Module

_NO_DEVICE: Final = re.compile("[Nn]o such device")
_NO_DEVICE_STATUS: Final = 7
"""The exit status of recipes/modules/load for it."""
_FINDS_NONE: Final = "No such device: its driver finds none in QEMU"
_REFUSAL: Final = re.compile(
    r"Loading of |Lockdown: |version magic|disagrees about|no symbol version|does not import"
    r"|using GPL-only symbols uses|Unknown symbol|Invalid ELF|firmware: failed|Direct firmware load"
)
"""How the kernel begins what it says about a module that it does not take."""
_INSMOD: Final = re.compile(r"^insmod: (?:ERROR: )?.*?: (?=\S)")


class BootOutcome(enum.StrEnum):
    """``NO_DEVICE``: the kernel took the module, whose driver found no device of its kind, and left."""

    LOADED = "loaded"
    NO_DEVICE = "no-device"
    REFUSED = "refused"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Insertion:
    """``what`` is why a module is not in the kernel, in the kernel's words; ``log`` all that it said meanwhile."""

    module: Module
    outcome: BootOutcome
    what: str = ""
    log: tuple[str, ...] = ()


def of_insmod(modules: Sequence[Module], answers: Sequence[Answer]) -> list[Insertion]:
    """One answer for each of ``modules``, which insmod was given one after another."""
    gone: set[str] = set()
    found = []
    for module, answer in zip(modules, answers, strict=True):
        lacking = next((need for need in module.depends if need in gone), None)
        one = _of_answer(module, answer)
        if one.outcome is BootOutcome.REFUSED and lacking is not None:
            one = Insertion(module, BootOutcome.UNKNOWN, f"it needs {lacking}, which is not in this kernel", one.log)
        if one.outcome in (BootOutcome.NO_DEVICE, BootOutcome.UNKNOWN):
            gone.add(module.name)
        found.append(one)
    return found


def _of_answer(module: Module, answer: Answer) -> Insertion:
    if not answer.status:
        return Insertion(module, BootOutcome.LOADED, log=answer.log)
    if _NO_DEVICE.search(" ".join(answer.said)):
        return Insertion(module, BootOutcome.NO_DEVICE, _FINDS_NONE, answer.log)
    return Insertion(module, BootOutcome.REFUSED, _reason(answer), answer.log)


def of_loader(modules: Sequence[Module], answers: Answers, answer: Answer) -> list[Insertion]:
    """The loader was to insert ``modules``, in this order. It stops at the first that the kernel refuses, unless that
    is optional."""
    found = []
    is_over = False
    for module in modules:
        if module.name in answers.loaded:
            found.append(Insertion(module, BootOutcome.LOADED))
        elif is_over:
            found.append(Insertion(module, BootOutcome.UNKNOWN, "the loader stopped before"))
        elif answer.status and (answer.status == _NO_DEVICE_STATUS or _NO_DEVICE.search(" ".join(answer.said))):
            found.append(Insertion(module, BootOutcome.NO_DEVICE, _FINDS_NONE, answer.log))
            is_over = True
        else:
            found.append(Insertion(module, BootOutcome.REFUSED, _reason(answer), answer.log))
            is_over = answer.status != 0
    return found


def _reason(answer: Answer) -> str:
    """The line in which the kernel says why, or what insmod made of the error's number."""
    told = next((line for line in answer.log if _REFUSAL.search(line)), None)
    said = next(iter(answer.said), "it was not inserted, and nobody said why")
    return told or _INSMOD.sub("", said)
