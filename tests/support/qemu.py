"""Boots a Debian kernel in QEMU (without KVM) over an initramfs, and returns what it said."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

INIT = """#!/opt/nvidia/busybox sh
export PATH=/bin
/opt/nvidia/busybox mkdir -p /bin /proc /sys /dev
/opt/nvidia/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
COMMAND
echo "status $?"
poweroff -f
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


def boot(kernel: Kernel, files: Path, command: str, directory: Path) -> str:
    """Boots with ``files`` as the root file system and drm.ko's family beside them; runs ``command``."""
    root = directory / "initramfs"
    shutil.copytree(files, root, symlinks=True)
    modules = root / "lib" / "modules" / kernel.release
    modules.mkdir(parents=True)
    shutil.copy(kernel.modules / "modules.dep", modules)
    for line in (kernel.modules / "modules.dep").read_text().splitlines():
        if line.startswith("kernel/drivers/gpu/drm/drm.ko:"):
            for name in line.replace(":", "").split():
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
        stdin=subprocess.DEVNULL, capture_output=True, timeout=300, check=True,
    )  # fmt: skip
    return done.stdout.decode(errors="replace")
