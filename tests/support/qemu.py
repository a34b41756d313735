"""Boots a Debian kernel in QEMU (without KVM) over an initramfs, and returns what it said."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.support.engines import BUSYBOX

INIT = """#!/.boot/busybox sh
/.boot/busybox mkdir -p /.boot/bin /proc /sys /dev
/.boot/busybox --install -s /.boot/bin
export PATH=/usr/sbin:/usr/bin:/sbin:/bin:/.boot/bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
COMMAND
echo "status $?"
/.boot/busybox poweroff -f
"""


@dataclass(frozen=True, slots=True)
class Kernel:
    release: str
    image: Path
    modules: Path
    """The package's ``lib/modules/<release>``."""


def kernel_package(release: str, directory: Path) -> Kernel:
    """A kernel of Debian 12, unpacked and not installed, whichever release this machine is of."""
    fetched = directory / "fetched"
    fetch = f'cd "$1" && APT_CONFIG="$MMDEBSTRAP_APT_CONFIG" apt-get download -qq linux-image-{release}'
    subprocess.run(["mmdebstrap", "--quiet", "--variant=extract", f"--extract-hook={fetch}", "bookworm", fetched],
                   check=True, stdin=subprocess.DEVNULL)  # fmt: skip
    (package,) = fetched.glob(f"linux-image-{release}_*.deb")
    root = directory / "kernel"
    subprocess.run(["dpkg", "-x", str(package), str(root)], check=True)
    subprocess.run(["depmod", "-b", str(root), release], check=True)
    return Kernel(release, root / "boot" / f"vmlinuz-{release}", root / "lib" / "modules" / release)


def boot(
    kernel: Kernel, files: Path, command: str, directory: Path, *, host: tuple[str, ...] = ("drm",)
) -> str:
    """Boots with ``files`` as the root file system, and the kernel's own modules ``host`` with all that these need in
    /lib/modules; runs ``command``, with a busybox of its own behind the programs in ``files``."""
    root = directory / "initramfs"
    shutil.copytree(files, root, symlinks=True)
    (root / ".boot").mkdir()
    shutil.copy(BUSYBOX, root / ".boot" / "busybox")
    modules = root / "lib" / "modules" / kernel.release
    modules.mkdir(parents=True)
    for listed in kernel.modules.glob("modules.dep*"):  # busybox reads the text, kmod the other
        shutil.copy(listed, modules)
    for name in _needed(kernel, host):
        (modules / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(kernel.modules / name, modules / name)
    (root / "init").write_text(INIT.replace("COMMAND", command))
    (root / "init").chmod(0o755)
    archive = directory / "initramfs.cpio"
    names = subprocess.run(["find", "."], cwd=root, capture_output=True, check=True).stdout
    with archive.open("wb") as sink:
        subprocess.run(["cpio", "-o", "-H", "newc", "--quiet"], cwd=root, input=names, stdout=sink, check=True)
    done = subprocess.run(
        ["qemu-system-x86_64", "-m", "1024", "-nographic", "-no-reboot", "-nic", "none", "-kernel", str(kernel.image),
         "-initrd", str(archive), "-append", "console=ttyS0 panic=-1 quiet loglevel=6"],
        stdin=subprocess.DEVNULL, capture_output=True, check=True,
    )  # fmt: skip
    return done.stdout.decode(errors="replace")


def _needed(kernel: Kernel, names: tuple[str, ...]) -> set[str]:
    """The files of the modules ``names`` and of all that they depend on, relative to the kernel's."""
    lines = (line.partition(":") for line in (kernel.modules / "modules.dep").read_text().splitlines())
    found = ([path, *needs.split()] for path, _, needs in lines if Path(path).name.split(".")[0] in names)
    return {file for files in found for file in files}
