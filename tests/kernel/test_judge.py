"""Verdicts on real modules by Debian's own kernels. What a kernel really does with such modules was seen in boots
(docs/kernels.md), and ``verify --boot`` sees it again."""

from __future__ import annotations

import gzip
import lzma
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import zstandard

from assembler.kernel.file_tree import mapped
from assembler.kernel.judge import BUSYBOX, KMOD, judge
from assembler.kernel.kernel import Host, Kernel
from assembler.kernel.module import Module, in_order, read_module
from assembler.kernel.open_kernels import open_kernels
from assembler.kernel.verdict import Outcome, Verdict
from tests.kernel.conftest import RELEASE, started
from tests.support import kernels

Ask = Callable[[str], Kernel]


def read(*files: Path) -> list[Module]:
    return [read_module(file.name, mapped(str(file))) for file in files]


def decisive(verdict: Verdict) -> list[tuple[str, str]]:
    return [(reason.rule, reason.what) for reason in verdict.reasons if reason.weight in ("refused", "unknown")]


def rules(verdict: Verdict, weight: str = "refused") -> set[str]:
    return {reason.rule for reason in verdict.reasons if reason.weight == weight}


def one(kernel: Kernel, *files: Path, reads: frozenset[str] | None = None) -> Verdict:
    """The verdict on the last of ``files``, which are inserted in this order."""
    return judge(read(*files), kernel, reads)[-1]


def test_the_right_kernel_and_the_neighbour_with_the_same_symbols(built: Path, by_headers: Ask) -> None:
    for release in (RELEASE, "6.1.0-55-amd64"):
        kernel = by_headers(release)
        for name in ("t_plain", "t_dep", "t_drm", "t_firmware"):
            verdict = one(kernel, built / f"{name}.ko")
            assert verdict.outcome is Outcome.LOADS and verdict.release == release, decisive(verdict)
        assert one(kernel, built / "t_drm.ko").needs == ("drm",)


@pytest.mark.parametrize(("release", "rule", "words"), [
    ("6.1.0-54-amd64", "symbol-version", "disagrees about version of symbol module_layout"),
    ("6.1.0-56-cloud-amd64", "symbol-version", "disagrees about version of symbol module_layout"),
    ("6.1.0-56-rt-amd64", "vermagic", f"version magic '{RELEASE} SMP preempt mod_unload modversions' should be "
     "'6.1.0-56-rt-amd64 SMP preempt_rt mod_unload modversions'"),
    ("6.12.117+deb12-amd64", "symbol-version", "disagrees about version of symbol module_layout"),
])  # fmt: skip
def test_other_kernels_say_what_is_in_their_log(
    built: Path, by_headers: Ask, release: str, rule: str, words: str
) -> None:
    verdict = one(by_headers(release), built / "t_plain.ko")
    assert verdict.outcome is Outcome.REFUSED
    assert any(found == rule and what.startswith(words) for found, what in decisive(verdict))
    origins = {origin for reason in verdict.reasons if reason.rule == rule for origin in reason.origins}
    assert origins == {f"headers linux-headers-{release}"}


def test_order(built: Path, by_headers: Ask) -> None:
    kernel, dep, use = by_headers(RELEASE), built / "t_dep.ko", built / "t_use.ko"
    assert decisive(one(kernel, use)) == [("unknown-symbol", "Unknown symbol t_dep_word")]
    assert one(kernel, dep, use).outcome is Outcome.LOADS
    (early, _) = judge(read(use, dep), kernel)
    assert decisive(early) == [("order", "Unknown symbol t_dep_word: t_dep, which has it, is inserted after it")]
    assert [module.name for module in in_order(read(use, dep))] == ["t_dep", "t_use"]


def test_a_module_whose_own_needs_are_refused_is_refused(built: Path, by_headers: Ask) -> None:
    damaged = read_module("t_dep.ko", memoryview((built / "t_dep.ko").read_bytes().replace(b"preempt ", b"preemqt ")))
    found = judge([damaged, *read(built / "t_use.ko")], by_headers(RELEASE))
    assert [verdict.outcome for verdict in found] == [Outcome.REFUSED, Outcome.REFUSED]
    assert "needs-refused" in rules(found[1])


def test_symbols_that_nobody_has(built: Path, by_headers: Ask, by_image: Ask) -> None:
    for kernel in (by_headers(RELEASE), by_image(RELEASE)):
        found = decisive(one(kernel, built / "t_unknown.ko"))
        assert found == [("unknown-symbol", "Unknown symbol no_such_function")]


def test_licences(built: Path, by_headers: Ask) -> None:
    kernel = by_headers(RELEASE)
    ((rule, what),) = decisive(one(kernel, built / "t_gplonly.ko"))
    assert rule == "gpl-only" and what.startswith("Unknown symbol ktime_get: GPL-only")
    ((rule, what),) = decisive(one(kernel, built / "t_proprietary.ko", built / "t_taint.ko"))
    assert rule == "inherited-taint"
    assert "module using GPL-only symbols uses symbols t_proprietary_word from proprietary module t_proprietary" in what


def test_namespaces(built: Path, by_headers: Ask) -> None:
    kernel = by_headers(RELEASE)
    words = "module uses symbol (dma_buf_get) from namespace DMA_BUF, but does not import it."
    assert decisive(one(kernel, built / "t_namespace.ko")) == [("namespace", words)]
    lenient = replace(kernel, config={**(kernel.config or {}), "MODULE_ALLOW_MISSING_NAMESPACE_IMPORTS": "y"})
    verdict = one(lenient, built / "t_namespace.ko")
    assert verdict.outcome is Outcome.LOADS and "namespace" in rules(verdict, "warning")


def test_versions_that_are_not_said(built: Path, by_headers: Ask) -> None:
    """Booted: Debian's kernel takes a module without any versions, and refuses one that lacks a single one."""
    plain, kernel = (built / "t_drm.ko").read_bytes(), by_headers(RELEASE)
    at = plain.index(b"drm_gem_object_free\0" + bytes(30))
    unsaid = read_module("t.ko", memoryview(plain[:at] + b"X" + plain[at + 1 :]))
    (verdict,) = judge([unsaid], kernel)
    assert ("symbol-version", "no symbol version for drm_gem_object_free") in decisive(verdict)
    (verdict,) = judge([unsaid], replace(kernel, is_strict=None))
    assert verdict.outcome is Outcome.UNKNOWN, "Debian's kernels refuse it, others warn"

    without = read_module("t.ko", memoryview(plain.replace(b"\0__versions\0", b"\0Xversions0"[:10] + b"\0\0")))
    assert without.versions is None and not without.damage
    (verdict,) = judge([without], kernel)
    assert verdict.outcome is Outcome.LOADS and "symbol-version" in rules(verdict, "warning")
    (verdict,) = judge([without], replace(kernel, config={**(kernel.config or {}), "MODULE_FORCE_LOAD": "n"}))
    assert "symbol-version" in rules(verdict)


def test_without_modversions_the_release_counts(built: Path, tmp_path: Path) -> None:
    headers = kernels.headers(RELEASE)
    for name in ("Module.symvers", "include/generated/utsrelease.h"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(headers / name, tmp_path / name)
    symvers = tmp_path / "Module.symvers"
    symvers.write_text(re.sub("^0x[0-9a-f]{8}", "0x00000000", symvers.read_text(), flags=re.MULTILINE))
    config = (headers / ".config").read_text().replace("CONFIG_MODVERSIONS=y", "# CONFIG_MODVERSIONS is not set")
    (tmp_path / ".config").write_text(config)
    with open_kernels(str(tmp_path), tmp_path) as (kernel,):
        assert kernel.vermagic == f"{RELEASE} SMP preempt mod_unload"
        ((rule, what),) = decisive(one(kernel, built / "t_plain.ko"))
        assert rule == "vermagic" and what.endswith(f"should be '{RELEASE} SMP preempt mod_unload'")
        same = (built / "t_plain.ko").read_bytes().replace(b"mod_unload modversions \0", b"mod_unload\0" + bytes(13))
        (verdict,) = judge([read_module("t.ko", memoryview(same))], kernel)
        assert verdict.outcome is Outcome.LOADS
        assert rules(verdict, "note") == {"struct-module"}, "nothing tells struct module's size then"
        (verdict,) = judge([read_module("t.ko", memoryview(same.replace(b"vermagic=6.1.0-56", b"vermagic=6.1.0-57")))],
                           kernel)  # fmt: skip
        assert rules(verdict) == {"vermagic"}


def test_signatures(built: Path, signed: Path, by_headers: Ask, by_image: Ask, tmp_path: Path) -> None:
    plain, stripped = built / "t_plain.ko", tmp_path / "t_plain.ko"
    subprocess.run(["strip", "--strip-debug", "-o", stripped, signed], check=True)
    assert read(signed)[0].is_signed and not read(stripped)[0].is_signed
    enforcing = started(by_headers(RELEASE), "quiet module.sig_enforce=1")
    for file in (plain, stripped):
        ((rule, what),) = decisive(one(enforcing, file))
        assert rule == "unsigned"
        assert what.startswith("Key was rejected by service: Loading of unsigned module is rejected")
    assert one(enforcing, signed).outcome is Outcome.UNKNOWN, "headers do not tell which keys a kernel has"

    kernel = by_image(RELEASE)
    assert [key.name for key in kernel.keys or ()] == ["Build time autogenerated kernel key"]
    ((rule, what),) = decisive(one(started(kernel, "module.sig_enforce=1"), signed))
    assert rule == "key" and "module with unavailable key is rejected" in what and "Our own key" in what
    assert one(started(kernel, "quiet"), signed).outcome is Outcome.LOADS
    assert "unsigned" in rules(one(started(kernel, "lockdown=integrity"), plain))
    assert "unsigned" in rules(one(kernel, plain), "warning"), "nobody knows how its hosts start it"


def test_debians_own_modules(by_image: Ask) -> None:
    own, cloud = kernels.kernel(RELEASE), by_image("6.1.0-56-cloud-amd64")
    (dummy,) = own.own("dummy")
    assert one(started(by_image(RELEASE), "module.sig_enforce=1"), dummy).outcome is Outcome.LOADS
    assert rules(one(started(cloud, "module.sig_enforce=1"), dummy)) == {"key", "symbol-version"}


def test_modules_that_a_kernel_does_not_have(built: Path, by_headers: Ask, by_image: Ask) -> None:
    nothing = replace(by_headers(RELEASE), host=Host(available=frozenset()))
    verdict = one(nothing, built / "t_drm.ko")
    assert decisive(verdict) == [
        ("needs-missing", "Unknown symbol drm_gem_object_free: drm, which has it, is not there")]
    found = decisive(one(by_image("6.1.0-56-cloud-amd64"), built / "t_drm.ko"))
    assert any(rule == "symbol-version" for rule, _ in found)


def test_struct_module(built: Path, by_image: Ask) -> None:
    kernel = by_image(RELEASE)
    assert kernel.struct_size == read(built / "t_plain.ko")[0].struct_size
    found = decisive(one(replace(kernel, struct_size=1280), built / "t_plain.ko"))
    assert [rule for rule, _ in found] == ["struct-module"] and "896 bytes, and not 1280" in found[0][1]


def test_compressed_modules(built: Path, by_headers: Ask, tmp_path: Path) -> None:
    kernel, plain = by_headers(RELEASE), (built / "t_plain.ko").read_bytes()
    for suffix, packed in (("xz", lzma.compress(plain)), ("gz", gzip.compress(plain)),
                           ("zst", zstandard.ZstdCompressor().compress(plain))):  # fmt: skip
        file = tmp_path / f"t_plain.ko.{suffix}"
        file.write_bytes(packed)
        assert one(kernel, file).outcome is Outcome.UNKNOWN
        assert one(kernel, file, reads=KMOD).outcome is Outcome.LOADS
        assert one(kernel, file, reads=BUSYBOX).outcome is (Outcome.REFUSED if suffix == "zst" else Outcome.LOADS)
        file.write_bytes(packed[:-200])
        assert one(kernel, file, reads=KMOD).outcome is Outcome.REFUSED


def test_files_that_are_no_modules(built: Path, by_headers: Ask, tmp_path: Path) -> None:
    kernel, plain = by_headers(RELEASE), (built / "t_plain.ko").read_bytes()
    bare = tmp_path / "bare.ko"
    subprocess.run(["strip", "-o", bare, built / "t_plain.ko"], check=True)
    arm = plain[:18] + (183).to_bytes(2, "little") + plain[20:]
    for data, rule, words in (
        (plain[: len(plain) // 2], "truncated", "Invalid module format: it is cut off"),
        (b"no module", "elf", "Invalid module format: it is no ELF file"),
        (bare.read_bytes(), "elf", "module has no symbols (stripped?)"),
        (arm, "machine", "Invalid architecture in ELF header: arm64"),
        (Path("/bin/true").read_bytes(), "elf", "no relocatable ELF file"),
    ):
        (verdict,) = judge([read_module("t.ko", memoryview(data))], kernel)
        found = decisive(verdict)
        assert verdict.outcome is Outcome.REFUSED
        assert any(rule == name and words in what for name, what in found), found


def test_what_kernels_only_warn_of(built: Path, by_headers: Ask) -> None:
    plain = (built / "t_plain.ko").read_bytes().replace(b"retpoline=Y", b"retpolinf=Y")
    other, comments = re.subn(rb"\) \d+(\.\d+\.\d+\0)", rb") 99\1", plain)
    assert comments
    (verdict,) = judge([read_module("t.ko", memoryview(other))], by_headers(RELEASE))
    assert verdict.outcome is Outcome.LOADS and {"retpoline", "compiler"} <= rules(verdict, "warning")


def test_nvidias_empty_peermem(built: Path, by_headers: Ask) -> None:
    (plain,) = read(built / "t_plain.ko")
    (verdict,) = judge([replace(plain, name="nvidia_peermem")], by_headers(RELEASE))
    assert [rule for rule, _ in decisive(verdict)] == ["stub"]


def test_symbols_that_the_kernel_has_already(built: Path, by_headers: Ask) -> None:
    (dep,) = read(built / "t_dep.ko")
    export = dep.exports["t_dep_word"]
    (verdict,) = judge([replace(dep, exports={"_printk": export})], by_headers(RELEASE))
    assert decisive(verdict) == [("duplicate-symbol", "exports duplicate symbol _printk (owned by kernel)")]


def test_kernels_that_are_half_known(built: Path, by_headers: Ask) -> None:
    kernel = by_headers(RELEASE)
    blind = replace(kernel, symbols=None, origins={})
    assert [rule for rule, _ in decisive(one(blind, built / "t_plain.ko"))] == ["symbols"]
    assert rules(one(replace(kernel, vermagic=None), built / "t_plain.ko"), "unknown") == {"vermagic"}
