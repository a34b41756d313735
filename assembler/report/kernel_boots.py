"""What booted kernels did with an image's modules, as ``imgasm verify --boot`` tells it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from pydantic import computed_field

from assembler.report.record_part import RecordPart


class ModuleBoot(RecordPart):
    """``what`` is what the kernel said of a module that is not in it; ``log`` are its lines meanwhile.

    ``no-device`` is what a driver says for whose device there is none in QEMU: the kernel took it. ``unknown`` is what
    was not tried, or can't be told because something before it is not in.
    """

    module: str
    path: str
    outcome: Literal["loaded", "no-device", "refused", "unknown"]
    what: str = ""
    log: tuple[str, ...] = ()


class KernelBoot(RecordPart):
    """``kernel`` is what it was called, ``loader`` the image's own that inserted the modules, and ``said`` what that
    said; without one insmod inserted them."""

    kernel: str
    release: str
    arguments: str = ""
    accelerator: str = ""
    loader: str | None = None
    said: tuple[str, ...] = ()
    modules: tuple[ModuleBoot, ...] = ()


class ImageBoots(RecordPart):
    image: str
    kernels: tuple[KernelBoot, ...] = ()

    @computed_field  # type: ignore[prop-decorator]
    @property
    def is_refused(self) -> bool:
        return any(module.outcome == "refused" for kernel in self.kernels for module in kernel.modules)


def boot_lines(image: ImageBoots) -> Iterator[str]:
    """One line for each module and kernel."""
    for kernel in image.kernels:
        by = f"booted, {kernel.loader or 'insmod'}"
        for module in kernel.modules:
            why = f": {module.what}" if module.what else ""
            yield f"{module.path} on {kernel.release}: {module.outcome}{why} [{by}]"
