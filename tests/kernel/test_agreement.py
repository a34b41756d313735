"""What imgasm says of modules from files alone is what booted kernels say: docs/kernels.md's table, row by row.

Each row is tried. Rows of one kernel with one command line share a machine, which takes its modules out again.
"""

from __future__ import annotations

import functools
import lzma
import re
import shutil
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import zstandard

from assembler.kernel.judge import BUSYBOX, judge
from assembler.kernel.kernel import Host
from assembler.kernel.module import read_module
from assembler.kernel.open_kernels import open_kernels
from assembler.kernel.verdict import Outcome
from tests.support import kernels
from tests.support.guest import Guest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from assembler.kernel.kernel import Kernel
    from assembler.kernel.verdict import Verdict
    from tests.support.guest import Answer

pytestmark = pytest.mark.timeout(1800)

DOCUMENT = Path(__file__).parents[2] / "docs" / "kernels.md"
HEADING = "## Agreement with boots"
RIGHT = "6.1.0-56-amd64"
NEWEST = "the newest"
"""Of Debian's unstable release, whichever that is today; it has no MODVERSIONS."""


@dataclass(frozen=True)
class Row:
    """``modules`` are inserted one after another; the verdicts are on the last."""

    modules: tuple[str, ...]
    kernel: str
    arguments: str
    headers: str
    image: str
    boot: str

    @property
    def host(self) -> tuple[str, ...]:
        """The kernel's own modules that are in it before."""
        return tuple(name for name in self.modules if name.startswith("own:"))

    def __str__(self) -> str:
        return " ".join(filter(None, (*self.modules, "on", self.kernel, self.arguments)))


def read_rows() -> list[Row]:
    section = DOCUMENT.read_text().partition(HEADING)[2].partition("\n## ")[0]
    cells = [[cell.strip().strip("`") for cell in line.strip("| ").split("|")]
             for line in section.splitlines() if re.match(r"\| `", line)]  # fmt: skip
    return [Row(tuple(modules.split()), *rest) for modules, *rest, _ in cells]


ROWS = read_rows()


def test_the_table_has_what_was_asked_for() -> None:
    assert sum(row.image == row.boot for row in ROWS) >= 25
    assert len({(row.kernel, row.arguments) for row in ROWS}) >= 8
    assert {row.boot for row in ROWS} == {"loads", "refused"}


@pytest.fixture(scope="module")
def variants(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    """The tests' modules, and what became of some, by the names that the table has for them."""
    made = kernels.compile_modules(kernels.headers(RIGHT), tmp_path_factory.mktemp("modules") / "own")
    found = {path.stem: path for path in made.glob("t_*.ko")}

    def variant(name: str, data: bytes) -> None:
        path = made / (name if ".ko" in name else f"{name}.ko")
        path.write_bytes(data)
        found[name] = path

    plain = found["t_plain"].read_bytes()
    variant("t_licence", changed(found["t_gplonly"], b"license=GPL\0", b"license=ABC\0"))
    variant("t_unimported", changed(found["t_namespace"], b"import_ns=DMA_BUF\0", b"import_ns=DMA_BUX\0"))
    variant("t_magic", changed(found["t_plain"], b" mod_unload", b" mod_upload"))
    variant("t_arm", plain[:18] + (183).to_bytes(2, "little") + plain[20:])
    variant("t_cut", plain[:-5000])
    variant("t_plain.ko.xz", lzma.compress(plain, check=lzma.CHECK_CRC32))
    variant("t_plain.ko.zst", zstandard.compress(plain))
    variant("t_signed", signed(found["t_plain"], made))
    shutil.copy(found["t_signed"], made / "t_stripped.ko")
    subprocess.run(["strip", "--strip-debug", made / "t_stripped.ko"], check=True)
    variant("t_blind", compiled_blindly(made).read_bytes())
    return {**found, "t_stripped": made / "t_stripped.ko", "dummy-56": kernels.kernel(RIGHT).own("dummy")[-1],
            **of_newest(kernels.newest_kernel(), made)}  # fmt: skip


def changed(module: Path, old: bytes, new: bytes) -> bytes:
    data = module.read_bytes()
    assert data.count(old) == 1 and len(old) == len(new)
    return data.replace(old, new)


def signed(module: Path, folder: Path) -> bytes:
    """With a key that no kernel knows, as kbuild signs modules."""
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=nobody/", "-keyout",
                    folder / "key.pem", "-out", folder / "cert.pem"], check=True, capture_output=True)  # fmt: skip
    sign = kernels.headers(RIGHT) / "scripts" / "sign-file"
    subprocess.run([sign, "sha256", folder / "key.pem", folder / "cert.pem", module, folder / "signed"], check=True)
    return (folder / "signed").read_bytes()


def compiled_blindly(folder: Path) -> Path:
    """Where the kernel's symbols are not known."""
    symvers = kernels.headers(RIGHT) / "Module.symvers"
    aside = symvers.rename(symvers.with_name("aside"))
    try:
        return kernels.compile_modules(kernels.headers(RIGHT), folder / "blind", "t_plain") / "t_plain.ko"
    finally:
        aside.rename(symvers)


def of_newest(kernel: kernels.Kernel, folder: Path) -> dict[str, Path]:
    """The kernel's dummy.ko without signature and BTF, and that as if it were for another release."""
    (packed,) = kernel.own("dummy")
    data = lzma.decompress(packed.read_bytes()) if packed.suffix == ".xz" else packed.read_bytes()
    plain, renamed = folder / "dummy_plain.ko", folder / "dummy_renamed.ko"
    plain.write_bytes(data)
    subprocess.run(["objcopy", "--strip-debug", "-R", ".BTF", "-R", ".BTF.base", plain], check=True)
    release = kernel.release.encode()
    renamed.write_bytes(changed(plain, b"vermagic=" + release, b"vermagic=" + release[:-1] + b"x"))
    return {"dummy-plain": plain, "dummy-renamed": renamed}


def kernel_of(name: str) -> kernels.Kernel:
    return kernels.newest_kernel() if name == NEWEST else kernels.kernel(name)


def files_of(row: Row, variants: Mapping[str, Path]) -> list[Path]:
    """All that is inserted, in order."""
    booted = kernel_of(row.kernel)
    found: list[Path] = []
    for name in row.modules:
        is_own = name == "dummy" or name.startswith("own:")
        found += booted.own(name.removeprefix("own:")) if is_own else [variants[name]]
    return found


def in_guest(file: Path) -> str:
    """Where a file of this machine's is in the guest, whose /tmp is its own."""
    return f"/modules{file}"


@pytest.fixture(scope="module")
def answer_to(
    variants: Mapping[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[Row], Answer]:
    """What came of a row. The first of its kernel and command line boots them all."""

    @functools.cache
    def told(kernel: str, arguments: str) -> Mapping[str, Answer]:
        guest = Guest(tmp_path_factory.mktemp("guest"))
        rows = [row for row in ROWS if (row.kernel, row.arguments) == (kernel, arguments)]
        for row in rows:
            files = files_of(row, variants)
            for file in files:
                guest.add(in_guest(file), file)
            *before, last = map(in_guest, files)
            lines = [f"insmod {path} || exit 99" for path in before]
            names = " ".join(file.name.split(".ko")[0] for file in files[::-1])
            gone = f"for name in {names} t_plain dummy; do rmmod $name 2>/dev/null; done"
            lines += [f"insmod {last}", "status=$?", gone, "exit $status"]
            guest.trial(str(row), "\n".join(lines))
        return guest.boot(kernel_of(kernel), arguments)

    return lambda row: told(row.kernel, row.arguments)[str(row)]


def verdict(row: Row, kernel: Kernel, variants: Mapping[str, Path]) -> Verdict:
    modules = [read_module(file.name, memoryview(file.read_bytes())) for file in files_of(row, variants)]
    own = [file for name in row.host for file in kernel_of(row.kernel).own(name.removeprefix("own:"))]
    given = frozenset(file.name.partition(".ko")[0].replace("-", "_") for file in own)
    host = replace(Host.of_command_line(row.arguments), available=given)
    judged = [module for module in modules if module.name not in given]
    return judge(judged, kernel.started_with(host), BUSYBOX)[-1]


@functools.cache
def known(name: str, source: str) -> Kernel:
    """What imgasm knows of a kernel, from its ``headers`` or its ``image``."""
    booted = kernel_of(name)
    with open_kernels(str(booted.headers if source == "headers" else booted.root), booted.root) as (kernel,):
        return kernel


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_files_tell_what_a_boot_tells(
    row: Row, variants: Mapping[str, Path], answer_to: Callable[[Row], Answer]
) -> None:
    answer = answer_to(row)
    taken = answer.status == 0 or "o such device" in answer.said
    assert ("loads" if taken else "refused") == row.boot, answer
    by_image = verdict(row, known(row.kernel, "image"), variants)
    assert by_image.outcome == row.image, by_image
    unknown = {reason.rule for reason in by_image.reasons if reason.weight == "unknown"}
    assert row.image == row.boot or unknown == {"btf"}
    by_headers = verdict(row, known(row.kernel, "headers"), variants)
    assert by_headers.outcome == row.headers, by_headers
    assert row.headers in (row.boot, Outcome.UNKNOWN)
