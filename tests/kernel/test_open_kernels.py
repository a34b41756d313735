"""What tells of a kernel: packages, directories, a vmlinuz, the machine itself."""

from __future__ import annotations

import gzip
import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from assembler.errors import ImageError, UsageError
from assembler.kernel.file_tree import Directory, mapped
from assembler.kernel.judge import judge
from assembler.kernel.kernel_headers import make_vermagic, read_config
from assembler.kernel.module import read_module
from assembler.kernel.open_kernels import open_kernels
from assembler.kernel.running_kernel import read_running, with_available
from assembler.kernel.symbols import VMLINUX, read_symvers
from assembler.kernel.verdict import Outcome
from assembler.kernel.vmlinux import read_vmlinux
from tests.kernel.conftest import RELEASE
from tests.support import kernels

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from assembler.kernel.kernel import Kernel

FACTS = ("release", "vermagic", "machine")


def test_a_kernel_tells_by_its_file_what_its_headers_tell(by_headers: Callable[[str], Kernel]) -> None:
    """Every CRC of vmlinux is that of Module.symvers."""
    headers, image = by_headers(RELEASE), read_vmlinux("vmlinuz", mapped(str(kernels.kernel(RELEASE).image)))
    text = (kernels.headers(RELEASE) / "Module.symvers").read_text()
    told = {name: export for name, export in read_symvers(text) if export.owner == VMLINUX}
    assert len(told) > 10_000 and image.symbols is not None
    for name, export in told.items():
        assert image.symbols.find(name, (), everywhere=True) == export
    assert (image.release, image.machine, image.is_strict) == (headers.release, headers.machine, headers.is_strict)
    assert image.compiler == headers.compiler


def test_a_directory_a_vmlinuz_and_lib_modules_tell_the_same(tmp_path: Path) -> None:
    kernel = kernels.kernel(RELEASE)
    found = []
    for what in (kernel.root, kernel.image, kernel.modules):
        with open_kernels(str(what), tmp_path) as (one,):
            facts = (*FACTS, "struct_size", "keys", "in_tree", "built_in", "config")
            found.append([getattr(one, fact) for fact in facts])
    assert found[0] == found[1] == found[2]
    assert None not in found[0]


def test_headers_and_their_package_tell_the_same(by_headers: Callable[[str], Kernel], tmp_path: Path) -> None:
    package = by_headers(RELEASE)
    with open_kernels(str(kernels.headers(RELEASE)), tmp_path) as (one,):
        assert [getattr(one, fact) for fact in (*FACTS, "config")] == [getattr(package, fact)
                                                                       for fact in (*FACTS, "config")]
    root = kernels.headers(RELEASE).parents[2]
    with open_kernels(str(root), tmp_path) as (one,):
        assert one.release == RELEASE and one.name == str(root)


def test_an_rpm_tells_what_is_in_it(built: Path, tmp_path: Path) -> None:
    """As Fedora packs headers: below /usr/src/kernels, in zstd."""
    headers, root = kernels.headers(RELEASE), tmp_path / "root/usr/src/kernels" / RELEASE
    for name in ("Module.symvers", ".config", "include/generated/utsrelease.h", ".kernelvariables"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(headers / name, root / name)
    (tmp_path / "root/lib/modules" / RELEASE).mkdir(parents=True)
    (tmp_path / "root/lib/modules" / RELEASE / "build").symlink_to(f"/usr/src/kernels/{RELEASE}")
    (tmp_path / "kernel.spec").write_text(
        "Name: kernel-devel\nVersion: 1\nRelease: 1\nSummary: x\nLicense: x\nBuildArch: noarch\n%description\nx\n"
        f"%install\ncp -a {tmp_path}/root/. %{{buildroot}}\n%files\n/usr/src/kernels\n/lib/modules\n"
    )
    for payload in ("w3.zstdio", "w6.xzdio", "w6.gzdio"):
        subprocess.run(["rpmbuild", "-bb", "--quiet", "--define", f"_topdir {tmp_path}/{payload}",
                        "--define", f"_binary_payload {payload}", tmp_path / "kernel.spec"],
                       check=True, capture_output=True)  # fmt: skip
        (package,) = (tmp_path / payload).rglob("*.rpm")
        with open_kernels(str(package), tmp_path) as (kernel,):
            assert kernel.release == RELEASE and kernel.origins["symbols"] == f"headers {RELEASE}"
            (verdict,) = judge([read_module("t_plain.ko", mapped(str(built / "t_plain.ko")))], kernel)
            assert verdict.outcome is Outcome.LOADS
    damaged = tmp_path / "damaged.rpm"
    damaged.write_bytes(package.read_bytes()[:-1000])
    with pytest.raises(ImageError, match="no package that can be read"), open_kernels(str(damaged), tmp_path):
        pass


@pytest.mark.parametrize(("name", "content"), [
    ("x.deb", b"!<arch>\n"), ("x.deb", b"no"),
    ("x.deb", b"!<arch>\ndata.tar.xz     0           0     0     100644  10        `\nxxxxx"),
    ("x.rpm", b"\xed\xab\xee\xdb" + bytes(200)), ("x.rpm", b""), ("vmlinuz", b"MZ" + bytes(2000)), ("vmlinuz", b""),
])  # fmt: skip
def test_what_tells_of_no_kernel(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ImageError), open_kernels(str(tmp_path / name), tmp_path):
        pass


def test_nothing_and_an_empty_directory(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for what in ("empty", "nowhere"):
        with pytest.raises(UsageError), open_kernels(str(tmp_path / what), tmp_path):
            pass


def test_links_that_go_in_circles_and_out(tmp_path: Path) -> None:
    (tmp_path / "usr/src").mkdir(parents=True)
    (tmp_path / "usr/src/linux-headers-1").symlink_to("linux-headers-2")
    (tmp_path / "usr/src/linux-headers-2").symlink_to("linux-headers-1")
    (tmp_path / "usr/src/linux-headers-3").symlink_to("/../../../etc")
    (tmp_path / "lib/modules/1/kernel").mkdir(parents=True)
    (tmp_path / "lib/modules/1/kernel/round").symlink_to("..")
    with open_kernels(str(tmp_path), tmp_path) as (kernel,):
        assert kernel.release == "1" and kernel.in_tree == frozenset()


CONFIGS = [
    ("X86_64=y SMP=y PREEMPT_BUILD=y MODULE_UNLOAD=y MODVERSIONS=y", "SMP preempt mod_unload modversions"),
    ("X86_64=y SMP=y PREEMPT_RT=y MODULE_UNLOAD=y", "SMP preempt_rt mod_unload"),
    ("ARM64=y SMP=y MODULE_UNLOAD=y", "SMP mod_unload aarch64"),
    ("X86_64=y SMP=y RANDSTRUCT_FULL=y RANDSTRUCT=y", None),
    ("MIPS=y SMP=y", None),
]


@pytest.mark.parametrize(("options", "words"), CONFIGS)
def test_vermagic_is_made_as_the_kernel_makes_it(options: str, words: str | None) -> None:
    config = read_config("".join(f"CONFIG_{option}\n" for option in options.split()))
    assert make_vermagic("6.1", config) == (None if words is None else f"6.1 {words}")


@pytest.mark.parametrize("enforce", ["Y", "N"])
def test_a_gpu_host(built: Path, tmp_path: Path, enforce: str) -> None:
    """As one was seen: no MODVERSIONS, no /lib/modules, firmware elsewhere, and NVIDIA's module loaded."""
    files = {
        "proc/config.gz": gzip.compress(b"CONFIG_X86_64=y\nCONFIG_SMP=y\nCONFIG_PREEMPT_BUILD=y\nCONFIG_MODULES=y\n"
                                        b"CONFIG_MODULE_UNLOAD=y\nCONFIG_MODULE_SIG=y\n"),
        "proc/modules": b"t_plain 16384 0 - Live 0x0000000000000000 (O)\n",
        "sys/module/t_plain/version": b"1.1\n",
        "sys/module/module/parameters/sig_enforce": enforce.encode() + b"\n",
        "sys/kernel/security/lockdown": b"none [integrity] confidentiality\n",
        "sys/module/firmware_class/parameters/path": b"/opt/firmware\n",
    }
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)
    kernel = with_available(read_running(Directory(tmp_path), "6.18.44"))
    host = kernel.host
    assert (host.sig_enforce, host.lockdown, host.firmware_path) == (enforce == "Y", "integrity", "/opt/firmware")
    assert host.available == {"t_plain"} and kernel.vermagic == "6.18.44 SMP preempt mod_unload"
    (verdict,) = judge([read_module("t_plain.ko", mapped(str(built / "t_plain.ko")))], kernel)
    what = {reason.rule: reason.what for reason in verdict.reasons}
    assert what["loaded"] == "File exists: t_plain is loaded in version 1.1"
    assert what["vermagic"].endswith("should be '6.18.44 SMP preempt mod_unload'")
    assert ("Key was rejected" if enforce == "Y" else "Lockdown") in what["unsigned"]
    assert "symbols" in what, "nobody says what it exports"


def test_this_machine(tmp_path: Path) -> None:
    with open_kernels("running", tmp_path) as (kernel,):
        assert kernel.release == os.uname().release
        assert kernel.host.loaded is None or all(kernel.host.loaded)
