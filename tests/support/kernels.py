"""Debian's kernels and headers, unpacked and not installed, and small modules compiled for them.

They are fetched once for all tests of a run, whichever release of Debian this machine is of.
"""

from __future__ import annotations

import atexit
import functools
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.support.machine import apt_options

SOURCES = Path(__file__).with_name("modules")

FETCH = 'cd "$1" && export APT_CONFIG="$MMDEBSTRAP_APT_CONFIG" && '
NEWEST = (
    "release=$(apt-cache depends linux-image-cloud-amd64 | sed -n 's/.*Depends: linux-image-//p') && "
    "apt-get download -qq linux-base-$release linux-binary-$release linux-modules-$release linux-headers-$release"
)


@dataclass(frozen=True, slots=True)
class Kernel:
    """``root`` is what its packages unpack to, ``headers`` what those of its headers do."""

    release: str
    root: Path
    headers: Path

    @property
    def modules(self) -> Path:
        return next(folder for folder in self.root.glob("**/lib/modules/*") if folder.name == self.release)

    @property
    def image(self) -> Path:
        beside = self.modules / "vmlinuz"
        return beside if beside.exists() else self.root / "boot" / f"vmlinuz-{self.release}"

    def own(self, name: str) -> list[Path]:
        """The file of its module ``name`` and of those that this needs, in order of insertion."""
        for line in (self.modules / "modules.dep").read_text().splitlines():
            file, _, needs = line.partition(":")
            if Path(file).name.split(".")[0] == name:
                return [self.modules / each for each in (*reversed(needs.split()), file)]
        return []


@functools.cache
def _folder() -> Path:
    folder = tempfile.mkdtemp(dir="/var/tmp", prefix="imgasm-kernels-")
    atexit.register(shutil.rmtree, folder)
    return Path(folder)


def _fetch(suite: str, script: str, name: str) -> Path:
    """The directory of the packages that ``script`` downloads, with the apt of Debian's ``suite``."""
    fetched = _folder() / name
    hook = f"--extract-hook={FETCH}{script}"
    subprocess.run(["mmdebstrap", "--quiet", "--variant=extract", *apt_options(), hook, suite, fetched], check=True,
                   stdin=subprocess.DEVNULL)  # fmt: skip
    return fetched


def _unpack(folder: Path) -> Path:
    """Every package into the directory of its kind: headers, image."""
    for package in folder.glob("*.deb"):
        root = folder / ("headers" if package.name.startswith(("linux-headers", "linux-kbuild")) else "image")
        root.mkdir(exist_ok=True)
        subprocess.run(["dpkg", "-x", package, root], check=True)
        package.unlink()
    return folder


@functools.cache
def kernel(release: str) -> Kernel:
    """Of Debian 12."""
    names = f"linux-image-{release} linux-headers-{release}"
    return _kernel(release, _unpack(_fetch("bookworm", f"apt-get download -qq {names}", release)))


@functools.cache
def header_packages(*releases: str) -> dict[str, Path]:
    """The .deb files of kernels' headers, of Debian 12."""
    names = [f"linux-headers-{release}" for release in releases]
    folder = _fetch("bookworm", f"apt-get download -qq {' '.join(names)}", "header-packages")
    return {release: next(folder.glob(f"linux-headers-{release}_*.deb")) for release in releases}


@functools.cache
def newest_kernel() -> Kernel:
    """Of Debian's unstable release: since 7.2 they have no MODVERSIONS."""
    folder = _unpack(_fetch("sid", NEWEST, "newest"))
    (modules,) = folder.glob("image/usr/lib/modules/*")
    return _kernel(modules.name, folder)


def _kernel(release: str, folder: Path) -> Kernel:
    kernel = Kernel(release, folder / "image", folder / "headers")
    subprocess.run(["depmod", "-b", kernel.modules.parents[2], release], check=True)
    return kernel


@functools.cache
def headers(release: str) -> Path:
    """A directory that modules for a kernel of Debian 12 can be compiled in, wherever it lies."""
    version = release.removesuffix("-amd64").removesuffix("-cloud")
    names = f"linux-headers-{release} linux-headers-{version}-common linux-kbuild-6.1"
    root = _unpack(_fetch("bookworm", f"apt-get download -qq {names}", f"headers-{release}")) / "headers"
    folder = root / "usr" / "src" / f"linux-headers-{release}"
    makefile = folder / "Makefile"
    makefile.write_text(makefile.read_text().replace("/usr/src", str(root / "usr" / "src")))
    return folder


def compile_modules(headers: Path, folder: Path, *names: str, **changes: tuple[str, str]) -> Path:
    """The modules ``names`` of ``modules/``, by default all, below ``folder``.

    ``changes`` replace a text in the source of that name.
    """
    folder.mkdir(parents=True)
    chosen = names or sorted(source.stem for source in SOURCES.glob("*.c"))
    for name in chosen:
        old, new = changes.get(name, ("", ""))
        (folder / f"{name}.c").write_text((SOURCES / f"{name}.c").read_text().replace(old or "\0", new))
    (folder / "Kbuild").write_text("obj-m := " + " ".join(f"{name}.o" for name in chosen) + "\n")
    make = ["make", "-s", "-j2", "-C", str(headers), f"M={folder}", "CC=gcc", "KBUILD_MODPOST_WARN=1", "modules"]
    done = subprocess.run(make, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder
