"""A kernel booted in QEMU over an initramfs that answers on the second serial port, and switches itself off."""

from __future__ import annotations

import os
import shutil
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from assembler.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Iterator

_QEMU: Final = "qemu-system-x86_64"
_KVM: Final = "/dev/kvm"
_LINKER: Final = b"/ld-"
"""A part of the name of what loads libraries, which is in every program that needs some."""
_SILENCE: Final = 3.0
"""Seconds after which a kernel under KVM that says nothing more has stopped: in some virtual machines none gets on."""
_CONSOLE: Final = "console=ttyS0 earlyprintk=ttyS0 loglevel=5 panic=-1 nokaslr"
_MEMORY: Final = 384 << 20
"""Bytes for the kernel and its programs, beside the initramfs and what it is unpacked to."""


@dataclass(frozen=True, slots=True)
class Boot:
    """What the guest said: ``console`` is the kernel's log, ``answers`` what was written to /dev/ttyS1."""

    console: str
    answers: str
    accelerator: str


class Qemu:
    """Boots x86-64 kernels. EngineError where QEMU is missing."""

    def __init__(self) -> None:
        program = shutil.which(_QEMU)
        if program is None:
            raise EngineError(f"{_QEMU} is not installed, and a kernel is booted with it",
                              hint="Install it: apt-get install qemu-system-x86")  # fmt: skip
        self._program = program
        self._has_kvm = os.access(_KVM, os.R_OK | os.W_OK)

    def boot(self, kernel: Path, initramfs: Path, arguments: str, seconds: float) -> Boot:
        """Boots the vmlinuz ``kernel`` with ``arguments`` on its command line, and waits until it is off.

        KVM runs it where it can, and QEMU's own translation otherwise. EngineError where it is not off after
        ``seconds``, and where QEMU itself fails.
        """
        console, answers = initramfs.with_name("console"), initramfs.with_name("answers")
        command = [
            self._program, "-display", "none", "-monitor", "none", "-no-reboot", "-nic", "none",
            "-m", str((_MEMORY + 3 * initramfs.stat().st_size) >> 20),
            "-serial", f"file:{console}", "-serial", f"file:{answers}",
            "-kernel", str(kernel), "-initrd", str(initramfs), "-append", f"{_CONSOLE} {arguments}",
        ]  # fmt: skip
        self._has_kvm = self._has_kvm and _run_on_kvm([*command, "-accel", "kvm"], console, answers, seconds)
        if not self._has_kvm:
            with _started([*command, "-accel", "tcg"]) as process:
                _wait(process, console, seconds)
        return Boot(_text(console), _text(answers), "kvm" if self._has_kvm else "tcg")


def static_busybox() -> Path:
    """The machine's busybox that needs no libraries, for a guest to have programs. EngineError where there is none."""
    found = shutil.which("busybox")
    if found is None or _LINKER in Path(found).read_bytes():
        raise EngineError("there is no static busybox, and a booted kernel runs its programs",
                          hint="Install it: apt-get install busybox-static")  # fmt: skip
    return Path(found)


@contextmanager
def _started(command: list[str]) -> Iterator[subprocess.Popen[str]]:
    """It does not outlive this context."""
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                          text=True, errors="replace", start_new_session=True) as process:  # fmt: skip
        try:
            yield process
        finally:
            process.kill()


def _run_on_kvm(command: list[str], console: Path, answers: Path, seconds: float) -> bool:
    """False where KVM does not run a guest, though it is there."""
    with _started(command) as process:
        if not _comes_up(process, console, answers):
            return False
        _wait(process, console, seconds)
        return True


def _comes_up(process: subprocess.Popen[str], console: Path, answers: Path) -> bool:
    """Whether the guest's first program answers, which is soon where KVM works, or the machine is off in good order."""
    said = 0
    while True:
        try:
            return process.wait(_SILENCE) == 0
        except subprocess.TimeoutExpired:
            if _text(answers):
                return True
        before, said = said, len(_text(console))
        if said == before:
            return False


def _wait(process: subprocess.Popen[str], console: Path, seconds: float) -> None:
    try:
        _, complaint = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        raise EngineError(f"the kernel was not done after {seconds:.0f} s", detail=_last_lines(console)) from None
    if process.returncode:
        raise EngineError(f"{_QEMU} ended with status {process.returncode}", detail=complaint.strip() or None)


def _text(file: Path) -> str:
    return file.read_bytes().decode("utf-8", "replace").replace("\r", "") if file.exists() else ""


def _last_lines(console: Path) -> str | None:
    return "\n".join(_text(console).splitlines()[-10:]) or None
