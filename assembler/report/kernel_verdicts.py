"""What kernels would do with an image's modules, as a report keeps it and ``--json`` prints it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal

from pydantic import Field, computed_field

from assembler.report.kernel_boots import ImageBoots
from assembler.report.record_part import RecordPart, counted

_OutcomeName = Literal["loads", "refused", "unknown"]


class KernelReason(RecordPart):
    """``weight`` is what it does to the verdict, ``rule`` a word for programs, ``what`` what the kernel says, and
    ``origins`` where the facts came from."""

    weight: Literal["refused", "unknown", "warning", "note"]
    rule: str
    what: str
    origins: tuple[str, ...] = ()


class ModuleVerdict(RecordPart):
    """``needs`` are the kernel's own modules that must be in it before."""

    module: str
    path: str
    outcome: _OutcomeName
    reasons: tuple[KernelReason, ...] = ()
    needs: tuple[str, ...] = ()


class KernelVerdict(RecordPart):
    """``kernel`` is what it was called, ``origins`` say what told each fact about it. An image is refused by those
    that it ``is_required`` to fit; others are asked because they are there."""

    kernel: str
    release: str
    is_required: bool = True
    origins: dict[str, str] = Field(default_factory=dict)
    modules: tuple[ModuleVerdict, ...] = ()

    @computed_field  # type: ignore[prop-decorator]
    @property
    def outcome(self) -> _OutcomeName:
        """The worst of the modules'."""
        found = {verdict.outcome for verdict in self.modules}
        return "refused" if "refused" in found else "unknown" if "unknown" in found else "loads"


class ImageVerdicts(RecordPart):
    """``beside`` is what is wrong with the image whatever the kernel is: firmware, user space, modprobe's lists."""

    image: str
    modules: int = 0
    beside: tuple[KernelReason, ...] = ()
    kernels: tuple[KernelVerdict, ...] = ()

    @computed_field  # type: ignore[prop-decorator]
    @property
    def fits(self) -> tuple[str, ...]:
        """The releases of the kernels that take all of the image's modules."""
        if not self.modules or any(reason.weight == "refused" for reason in self.beside):
            return ()
        return tuple(kernel.release for kernel in self.kernels if kernel.outcome == "loads")

    @computed_field  # type: ignore[prop-decorator]
    @property
    def is_refused(self) -> bool:
        return any(reason.weight == "refused" for reason in self.beside) or any(
            kernel.outcome == "refused" for kernel in self.kernels if kernel.is_required
        )

    @property
    def summary(self) -> str:
        """For people, in a few words."""
        if not self.kernels:
            return f"{counted(self.modules, 'module')}, and no kernel was asked about them"
        told = [f"load on {', '.join(self.fits)}"] if self.fits else []
        for outcome, words in (("refused", "refused by"), ("unknown", "not known to load on")):
            names = [kernel.release for kernel in self.kernels if kernel.outcome == outcome and kernel.is_required]
            told += [f"{words} {', '.join(names)}"] if names else []
        return f"{counted(self.modules, 'module')}: {'; '.join(told) or 'refused'}"

    def count(self, weight: str) -> int:
        """How many reasons of one weight there are."""
        of_modules = (verdict.reasons for kernel in self.kernels for verdict in kernel.modules)
        return sum(reason.weight == weight for reasons in (self.beside, *of_modules) for reason in reasons)


class VerifyFinding(RecordPart):
    """As ``imgasm verify`` prints it without ``--kernel``."""

    severity: Literal["error", "warning", "note"]
    where: str
    what: str
    count: int = 1
    paths: tuple[str, ...] = ()


class KernelsReport(RecordPart):
    """What ``imgasm verify --json`` prints with ``--kernel`` or ``--boot``."""

    format: Literal[1] = 1
    kind: Literal["kernels"] = "kernels"
    findings: tuple[VerifyFinding, ...] = ()
    images: tuple[ImageVerdicts, ...] = ()
    boots: tuple[ImageBoots, ...] = ()


def refusal_lines(image: ImageVerdicts) -> Iterator[str]:
    """What stands against an image that is refused, and nothing else."""
    yield from (f"{image.image}: {reason.what}" for reason in image.beside if reason.weight == "refused")
    for kernel in image.kernels:
        for verdict in kernel.modules:
            if verdict.outcome == "refused" and kernel.is_required:
                yield from _module_lines(verdict, kernel.release or kernel.kernel)


def verdict_lines(image: ImageVerdicts) -> Iterator[str]:
    """One line for each module and kernel, and below it what else there is to say; then what is so for several."""
    for reason in image.beside:
        yield f"{image.image}: {reason.weight}: {reason.what}"
    for kernel in image.kernels:
        for verdict in kernel.modules:
            yield from _module_lines(verdict, kernel.release or kernel.kernel)
        yield from _warnings(kernel)
    if image.kernels and image.modules:
        yield f"{image.image}: all its modules load on {', '.join(image.fits) or 'none of these kernels'}"


def _module_lines(verdict: ModuleVerdict, release: str) -> Iterator[str]:
    decisive = [reason for weight in ("refused", "unknown") for reason in verdict.reasons if reason.weight == weight]
    first = f": {_told(decisive[0])}" if decisive else f", after {' '.join(verdict.needs)}" if verdict.needs else ""
    yield f"{verdict.path} on {release}: {verdict.outcome}{first}"
    for reason in decisive[1:]:
        yield f"    {reason.weight}: {_told(reason)}"


def _warnings(kernel: KernelVerdict) -> Iterator[str]:
    found: dict[str, list[str]] = {}
    for verdict in kernel.modules:
        for reason in verdict.reasons:
            if reason.weight == "warning":
                found.setdefault(_told(reason), []).append(verdict.module)
    for what, modules in found.items():
        yield f"    warning: {_listed(modules)}: {what}"


def _told(reason: KernelReason) -> str:
    return f"{reason.what} [{', '.join(reason.origins)}]" if reason.origins else reason.what


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names)
