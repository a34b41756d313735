"""What is measured: a base and the changes that a container made on it, as an overlay's lower and upper directory.

reference   toolchain, kernel headers, NVIDIA's two kernel sources, one driver compiled: 25,000 entries, 1.4 GB
small       300,000 files of 0.2 to 4 KB
large       ten files of 1 GB, pieces of the reference tree
quick       1,500 files: only tells whether this script still works
"""

from __future__ import annotations

import os
import random
import shutil
import stat
import subprocess
import sysconfig
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_SUITE: Final = "bookworm"
_PACKAGES: Final = "build-essential linux-headers-amd64 nvidia-kernel-source nvidia-open-kernel-source"
_INSTALL: Final = f"""
set -e
export DEBIAN_FRONTEND=noninteractive
apt-get update -q
apt-get install -q -y --no-install-recommends {_PACKAGES}
cd /usr/src
tar -xf nvidia-kernel.tar.xz
kernel=$(basename "$(ls -d /lib/modules/*-amd64 | tail -n 1)")
cd modules/nvidia-kernel
make -j"$(nproc)" KERNEL_UNAME="$kernel" modules
"""


@dataclass(frozen=True, slots=True)
class Tree:
    """``bytes`` are apparent sizes of regular files."""

    name: str
    base: Path
    upper: Path
    entries: int
    bytes: int


def make_tree(name: str, work: Path) -> Tree:
    """The tree in ``work``: made once, and taken as it is afterwards."""
    place = work / name
    base, upper = place / "base", place / "upper"
    if not (place / "made").exists():
        shutil.rmtree(place, ignore_errors=True)
        base.mkdir(parents=True)
        upper.mkdir()
        TREES[name](base, upper, work)
        (place / "made").touch()
    entries, size = _count(upper)
    return Tree(name, base, upper, entries, size)


def _reference(base: Path, upper: Path, work: Path) -> None:
    components = "--components=main,contrib,non-free"
    subprocess.run(["mmdebstrap", "--variant=minbase", components, _SUITE, base], check=True)
    scratch, merged = base.with_name("scratch"), base.with_name("merged")
    scratch.mkdir()
    merged.mkdir()
    with _overlay(base, upper, scratch, merged):
        shutil.copyfile("/etc/resolv.conf", merged / "etc/resolv.conf")
        shell = f'for d in proc sys dev; do mount --rbind /$d "{merged}/$d"; done; exec chroot "{merged}" sh -c "$0"'
        subprocess.run(["unshare", "--mount", "--pid", "--fork", "sh", "-c", shell, _INSTALL], check=True)
    shutil.rmtree(scratch)
    merged.rmdir()


@contextmanager
def _overlay(lower: Path, upper: Path, work: Path, at: Path) -> Iterator[None]:
    options = f"lowerdir={lower},upperdir={upper},workdir={work},index=off,redirect_dir=off,metacopy=off"
    subprocess.run(["mount", "-t", "overlay", "overlay", "-o", options, at], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", at], check=True)


def _small(base: Path, upper: Path, work: Path) -> None:
    _pieces(base, upper, folders=1000, files=300)


def _quick(base: Path, upper: Path, work: Path) -> None:
    _pieces(base, upper, folders=15, files=100)


def _pieces(base: Path, upper: Path, folders: int, files: int) -> None:
    """Pieces of the Python library's source, the same on every run."""
    _plain_base(base)
    library = Path(sysconfig.get_path("stdlib"))
    text = b"".join(path.read_bytes() for path in sorted(library.glob("*.py")))
    chance = random.Random(1)
    for folder in range(folders):
        place = upper / "srv" / f"part{folder:04}"
        place.mkdir(parents=True)
        for number in range(files):
            start, size = chance.randrange(len(text) - 4096), int(2 ** chance.uniform(7.6, 12))
            kind = ("py", "txt", "conf")[number % 3]
            (place / f"{chance.randrange(1 << 32):08x}.{kind}").write_bytes(text[start : start + size])


def _large(base: Path, upper: Path, work: Path) -> None:
    _plain_base(base)
    sources = [path for path in _walk(make_tree("reference", work).upper) if path.is_file() and not path.is_symlink()]
    stream = _endless(sources)
    (upper / "srv").mkdir()
    for number in range(10):
        with open(upper / "srv" / f"file{number}", "wb") as file:
            left = 1 << 30
            while left:
                left -= file.write(next(stream)[:left])


def _endless(sources: list[Path]) -> Iterator[bytes]:
    while True:
        for path in sources:
            with path.open("rb") as file:
                while chunk := file.read(1 << 20):
                    yield chunk


def _plain_base(base: Path) -> None:
    """With a shell, as a build's step needs one."""
    (base / "bin").mkdir()
    shutil.copy2("/bin/busybox", base / "bin/busybox")
    (base / "bin/sh").symlink_to("busybox")
    (base / "etc").mkdir()
    (base / "etc/os-release").write_text("NAME=bench\n")


TREES: Final[dict[str, Callable[[Path, Path, Path], None]]] = {
    "reference": _reference,
    "small": _small,
    "large": _large,
    "quick": _quick,
}


def _count(root: Path) -> tuple[int, int]:
    """One by one: a child's peak of memory is at least what its parent had when it was started (getrusage(2))."""
    entries = size = 0
    for path in _walk(root):
        status = path.lstat()
        entries += 1
        size += status.st_size if stat.S_ISREG(status.st_mode) else 0
    return entries, size


def _walk(root: Path) -> Iterator[Path]:
    for folder, folders, files in os.walk(root):
        folders.sort()
        for name in sorted((*folders, *files)):
            yield Path(folder, name)
