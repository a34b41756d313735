"""``imgasm verify --kernel`` as it is typed: images, directories, single modules; what it prints, and how it ends."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
import zstandard

from assembler.image.layout import Layout
from assembler.report.schema import schema
from tests.kernel.conftest import RELEASE
from tests.support import kernels
from tests.support.thin import Imgasm, rootfs, write_image

if TYPE_CHECKING:
    from pathlib import Path

Files = dict[str, bytes | str | None]
NAME = "example.com/team/modules:1"


@pytest.fixture
def imgasm(tmp_path: Path) -> Imgasm:
    return Imgasm(tmp_path)


def image(imgasm: Imgasm, *layers: Files) -> None:
    """In the layout ``in``."""
    write_image(Layout.create(imgasm.directory / "in"), NAME, *map(rootfs, layers))


def asked(imgasm: Imgasm, headers: Path, *options: str, status: int = 0) -> dict[str, Any]:
    """What it says as JSON, which is as the schema has it; the one image of it."""
    done = imgasm("verify", "in", "--kernel", str(headers), "--json", *options, status=status)
    report = json.loads(done.stdout)
    jsonschema.validate(report, schema())
    (one,) = report["images"]
    assert one["image"] == NAME
    found: dict[str, Any] = one
    return found


def outcomes(found: dict[str, Any]) -> dict[str, str]:
    return {verdict["path"]: verdict["outcome"] for kernel in found["kernels"] for verdict in kernel["modules"]}


def beside(found: dict[str, Any]) -> dict[str, str]:
    return {reason["rule"]: reason["what"] for reason in found["beside"]}


def test_one_line_for_each_module_and_kernel(imgasm: Imgasm, built: Path, headers: Path, others: Path) -> None:
    image(imgasm, {"opt/t_plain.ko": (built / "t_plain.ko").read_bytes()})
    said = imgasm("verify", "in", "--kernel", str(headers)).stdout.splitlines()
    assert f"/opt/t_plain.ko on {RELEASE}: loads" in said
    assert f"{NAME}: all its modules load on {RELEASE}" in said
    refused = imgasm("verify", "in", "--kernel", str(headers), "--kernel", str(others), status=12).stderr
    assert f"/opt/t_plain.ko on {RELEASE}: loads" in refused
    words = "on 6.1.0-54-amd64: refused: disagrees about version of symbol module_layout [headers 6.1.0-54-amd64]"
    assert words in refused and "docs/kernels.md" in refused


def test_layers_as_they_lie_over_each_other(imgasm: Imgasm, built: Path, headers: Path) -> None:
    plain, dep, use = ((built / f"{name}.ko").read_bytes() for name in ("t_plain", "t_dep", "t_use"))
    image(
        imgasm,
        {"opt/a/t_unknown.ko": (built / "t_unknown.ko").read_bytes(), "opt/a/t_dep.ko": dep, "opt/b/t_use.ko": b"old",
         "opt/c/d/t_cut.ko": plain[:100], "opt/e/t_cut.ko": plain[:100]},
        {"opt/a/.wh.t_unknown.ko": b"", "opt/b/t_use.ko": use, "opt/c/.wh.d": b"", "opt/e/.wh..wh..opq": b"",
         "opt/e/t_plain.ko": plain, "opt/link.ko": "e/t_plain.ko"},
    )  # fmt: skip
    assert outcomes(asked(imgasm, headers)) == {
        "/opt/a/t_dep.ko": "loads", "/opt/b/t_use.ko": "loads", "/opt/e/t_plain.ko": "loads"}


def test_the_loader_says_in_which_order(imgasm: Imgasm, built: Path, headers: Path) -> None:
    files: Files = {f"opt/m/{RELEASE}/{name}.ko": (built / f"{name}.ko").read_bytes()
                                            for name in ("t_use", "t_dep")}  # fmt: skip
    image(imgasm, {**files, "opt/m/modules.conf": b"folder=/opt/m\nmodules='t-use t_dep' # wrong\n"})
    found = asked(imgasm, headers, status=12)
    assert [verdict["outcome"] for verdict in found["kernels"][0]["modules"]] == ["refused", "loads"]
    assert "order" in {reason["rule"] for reason in found["kernels"][0]["modules"][0]["reasons"]}
    shutil.rmtree(imgasm.directory / "in")
    image(imgasm, {**files, "opt/m/modules.conf": b'modules="t_dep t_use t_gone t_maybe"\noptional=t-maybe\n'})
    found = asked(imgasm, headers, status=12)
    assert set(outcomes(found).values()) == {"loads"}
    assert beside(found) == {"no-module": "/opt/m/modules.conf inserts t_gone, which the image does not have"}


def test_firmware(imgasm: Imgasm, built: Path, headers: Path) -> None:
    module = {"lib/modules/x/t_firmware.ko": (built / "t_firmware.ko").read_bytes(),
              "lib/modules/x/modules.dep": b"t_firmware.ko:\n"}  # fmt: skip
    for extra, is_there in (
        ("usr/lib/firmware/t/firmware.bin", True), ("lib/firmware/t/firmware.bin.zst", True),
        ("lib/firmware/other.bin", False), ("lib/modules/firmware/t/firmware.bin", True),
    ):  # fmt: skip
        image(imgasm, {**module, extra: b"x"})
        found = beside(asked(imgasm, headers))
        assert ("firmware" not in found) is is_there, extra
        shutil.rmtree(imgasm.directory / "in")
    image(imgasm, {"usr/lib/modules/x/t_firmware.ko": module["lib/modules/x/t_firmware.ko"], "lib": "usr/lib",
                   "usr/lib/firmware/t/firmware.bin": b"x", "usr/lib/modules/x/modules.dep": b"t_firmware.ko:\n"})
    assert beside(asked(imgasm, headers)) == {}


def test_modprobes_list(imgasm: Imgasm, built: Path, headers: Path) -> None:
    module = (built / "t_plain.ko").read_bytes()
    for text, rule in (
        (None, True), (b"extra/t_plain.ko:\n", False), (b"/lib/modules/x/extra/t_plain.ko: a\n", False),
        (b"extra/other.ko:\n", True),
    ):  # fmt: skip
        files: Files = {"lib/modules/x/extra/t_plain.ko": module}
        image(imgasm, files if text is None else {**files, "lib/modules/x/modules.dep": text})
        assert ("modules-dep" in beside(asked(imgasm, headers))) is rule
        shutil.rmtree(imgasm.directory / "in")


def test_nvidias_user_space_has_the_modules_version(imgasm: Imgasm, headers: Path, tmp_path: Path) -> None:
    """A module of that name and with a driver's version stands for nvidia.ko; of libraries the names count."""
    folder = kernels.compile_modules(kernels.headers(RELEASE), tmp_path / "nvidia", "t_plain",
                                     t_plain=('"1.0"', '"535.86.05"'))  # fmt: skip
    module = (folder / "t_plain.ko").read_bytes().replace(b"\0name=t_plain\0", b"\0name=nvidia\0\0")
    below: Files = {"usr/lib/x86_64-linux-gnu/libcuda.so.535.86.05": b"x",
                    "usr/lib/libnvidia-container.so.1.13.5": b"x"}  # fmt: skip
    image(imgasm, below, {"opt/nvidia.ko": module, "usr/lib/libnvidia-ml.so.1": "libnvidia-ml.so.535.1.0"})
    assert beside(asked(imgasm, headers)) == {}
    shutil.rmtree(imgasm.directory / "in")
    image(imgasm, below, {"opt/nvidia.ko": module, "usr/lib/libnvidia-ml.so.535.86.10": b"x"})
    assert beside(asked(imgasm, headers, status=12)) == {"user-space": (
        "API mismatch: the client has the version 535.86.10, but this kernel module has the version 535.86.05: "
        "libnvidia-ml")}


def test_compressed_modules_want_a_program(imgasm: Imgasm, built: Path, headers: Path) -> None:
    packed = zstandard.ZstdCompressor().compress((built / "t_plain.ko").read_bytes())
    for program, outcome, status in (
        (None, "unknown", 0), ("bin/busybox", "refused", 12), ("usr/bin/kmod", "loads", 0),
    ):  # fmt: skip
        image(imgasm, {"opt/t_plain.ko.zst": packed, **({program: b"x"} if program else {})})
        assert set(outcomes(asked(imgasm, headers, status=status)).values()) == {outcome}
        shutil.rmtree(imgasm.directory / "in")


def test_modules_for_several_kernels_in_one_image(imgasm: Imgasm, built: Path, headers: Path) -> None:
    """The one that was compiled for the kernel is meant."""
    module = (built / "t_plain.ko").read_bytes()
    other = module.replace(f"vermagic={RELEASE} SMP".encode(), b"vermagic=6.1.0-54-amd64 UMP")
    image(imgasm, {f"opt/{RELEASE}/t_plain.ko": module, "opt/6.1.0-54-amd64/t_plain.ko": other})
    assert outcomes(asked(imgasm, headers)) == {f"/opt/{RELEASE}/t_plain.ko": "loads"}


def test_what_hosts_are_started_with(imgasm: Imgasm, built: Path, headers: Path) -> None:
    image(imgasm, {"opt/t_plain.ko": (built / "t_plain.ko").read_bytes()})
    found = asked(imgasm, headers, "--kernel-arguments", "quiet module.sig_enforce=1", status=12)
    (reason,) = (one for one in found["kernels"][0]["modules"][0]["reasons"] if one["weight"] == "refused")
    assert reason["rule"] == "unsigned" and "the command line" in reason["origins"]
    assert asked(imgasm, headers, "--kernel-arguments", "quiet")["fits"] == [RELEASE]
    assert "Give one of them" in imgasm("verify", "in", "--kernel-arguments", "quiet", status=2).stderr


def test_strict_refuses_what_is_not_known(imgasm: Imgasm, built: Path, headers: Path) -> None:
    image(imgasm, {"opt/t_plain.ko": (built / "t_plain.ko").read_bytes()})
    said = imgasm("verify", "in", "--kernel", str(headers), "--strict", status=8).stderr  # the image's own waste
    assert "problem" in said
    file = built / "t_plain.ko"
    assert "is not signed" in imgasm("verify", str(file), "--kernel", str(headers), "--strict", status=12).stderr


def test_directories_and_single_modules(imgasm: Imgasm, built: Path, headers: Path) -> None:
    folder = imgasm.directory / "modules/6.1"
    folder.mkdir(parents=True)
    for name in ("t_use", "t_dep"):
        shutil.copy(built / f"{name}.ko", folder)
    said = imgasm("verify", "modules", "--kernel", str(headers)).stdout
    assert f"/6.1/t_dep.ko on {RELEASE}: loads" in said and f"/6.1/t_use.ko on {RELEASE}: loads" in said
    alone = imgasm("verify", "modules/6.1/t_use.ko", "--kernel", str(headers), status=12).stderr
    assert "refused: Unknown symbol t_dep_word" in alone
    assert "is not an OCI layout" in imgasm("verify", "modules", status=8).stderr, "without a kernel nobody is asked"


def test_an_image_without_modules_is_told(imgasm: Imgasm, headers: Path) -> None:
    image(imgasm, {"opt/x": b"x"})
    done = imgasm("verify", "in", "--kernel", str(headers))
    assert "holds no kernel modules" in done.stderr


def test_a_damaged_image_is_not_asked(imgasm: Imgasm, built: Path, headers: Path) -> None:
    image(imgasm, {"opt/t_plain.ko": (built / "t_plain.ko").read_bytes(), "opt/.wh.none": b""})
    report = json.loads(imgasm("verify", "in", "--kernel", str(headers), "--json", status=8).stdout)
    assert report["images"] == [] and report["findings"]


@pytest.mark.parametrize(("what", "status"), [("nowhere", 2), ("in", 2), ("no.deb", 8), ("vmlinuz", 8)])
def test_kernels_that_are_none(imgasm: Imgasm, built: Path, what: str, status: int) -> None:
    image(imgasm, {"opt/t_plain.ko": (built / "t_plain.ko").read_bytes()})
    for name in ("no.deb", "vmlinuz"):
        (imgasm.directory / name).write_bytes(b"no kernel")
    said = imgasm("verify", "in", "--kernel", what, status=status).stderr
    assert what in said and "hint: Name a" in said
    assert not [file for file in (imgasm.directory / ".cache").rglob("*") if file.is_file() and "spool" in file.name]


def test_an_archive(imgasm: Imgasm, built: Path, headers: Path) -> None:
    image(imgasm, {"opt/t_plain.ko": (built / "t_plain.ko").read_bytes()})
    imgasm("copy", "in", "modules.tar")
    assert f"/opt/t_plain.ko on {RELEASE}: loads" in imgasm("verify", "modules.tar", "--kernel", str(headers)).stdout


def test_foreign_names_can_not_steer_the_terminal(imgasm: Imgasm, built: Path, headers: Path) -> None:
    image(imgasm, {"opt/\x1b[2Jt.ko": (built / "t_plain.ko").read_bytes(), "opt/u.ko": b"\x1b"})
    done = imgasm("verify", "in", "--kernel", str(headers), status=12)
    assert "\x1b" not in done.stdout + done.stderr
