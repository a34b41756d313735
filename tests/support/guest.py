"""A kernel in QEMU that runs one trial after another, each a shell script, and tells how each ended."""

from __future__ import annotations

import functools
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from assembler.measure.initramfs import Initramfs
from assembler.measure.qemu import Qemu

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.support.kernels import Kernel

INIT = """#!/bin/busybox sh
export PATH=/bin
/bin/busybox --install -s /bin
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev; mount -t tmpfs tmp /tmp
mount -t securityfs security /sys/kernel/security
exec >/dev/ttyS1 2>&1
echo up
"""
SECONDS = 900


@dataclass(frozen=True, slots=True)
class Answer:
    """``said`` is the script's own output, ``log`` what the kernel said meanwhile."""

    status: int
    said: str
    log: str


class Guest:
    """Its root has Debian's static busybox in /bin; ``add`` and ``program`` bring more."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._trials: dict[str, str] = {}
        self._files: dict[str, Path | bytes] = {}
        self.add("/bin/busybox", Path("/bin/busybox"))

    def add(self, path: str, file: Path | bytes) -> None:
        """``path`` in the guest, with the content of ``file`` and executable."""
        self._files[path] = file

    def program(self, path: str, file: str, root: str = "") -> None:
        """This machine's program ``file``, with the libraries that it needs, below ``root``."""
        self.add(root + path, Path(shutil.which(file) or file).resolve())
        told = subprocess.run(["ldd", shutil.which(file) or file], capture_output=True, text=True, check=True).stdout
        for library in re.findall(r"(/\S+)", told):
            self.add(root + library, Path(library).resolve())

    def trial(self, name: str, script: str) -> None:
        self._trials[name] = script

    def boot(self, kernel: Kernel, arguments: str = "") -> Mapping[str, Answer]:
        """What came of each trial. They run in the order in which they were added."""
        lines = [INIT]
        for number, script in enumerate(self._trials.values()):
            self.add(f"/trials/{number}", script.encode())
            lines.append(f"dmesg -c >/dev/null; echo @said {number}; sh /trials/{number}; echo @status $?; dmesg\n")
        self.add("/init", "".join([*lines, "echo @end\npoweroff -f\n"]).encode())
        with (self._directory / "initramfs").open("wb") as sink:
            self._write(Initramfs(sink))
        done = _qemu().boot(kernel.image, self._directory / "initramfs", arguments, SECONDS)
        assert "@end\n" in done.answers, done.console[-3000:] + done.answers[-1000:]
        return dict(zip(self._trials, map(_answer, done.answers.split("@said ")[1:]), strict=True))

    def _write(self, initramfs: Initramfs) -> None:
        for folder in (b"proc", b"sys", b"dev", b"tmp"):
            initramfs.directory(folder)
        for path, file in self._files.items():
            data = file if isinstance(file, bytes) else file.read_bytes()
            initramfs.file(os.fsencode(path.lstrip("/")), data, 0o755)
        initramfs.end()


@functools.cache
def _qemu() -> Qemu:
    """One for all, for it remembers whether KVM works."""
    return Qemu()


def _answer(text: str) -> Answer:
    said, _, rest = text.partition("\n")[2].rpartition("@status ")
    status, _, log = rest.partition("\n")
    return Answer(int(status), said, log.removesuffix("@end\n"))
