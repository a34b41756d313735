from __future__ import annotations

import shutil
import subprocess
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from assembler.kernel.kernel import Host, Kernel
from assembler.kernel.open_kernels import open_kernels
from tests.support import kernels

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

RELEASE = "6.1.0-56-amd64"
HEADERS = (RELEASE, "6.1.0-55-amd64", "6.1.0-54-amd64", "6.1.0-56-rt-amd64", "6.1.0-56-cloud-amd64",
           "6.12.117+deb12-amd64")  # fmt: skip


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tests' modules, compiled for Debian's RELEASE; their names say what is the matter with them.

    kbuild itself refuses what t_gplonly and t_namespace must have: that comes afterwards.
    """
    folder = tmp_path_factory.mktemp("modules") / "built"
    names = ("t_dep", "t_drm", "t_gplonly", "t_namespace", "t_plain", "t_proprietary", "t_taint", "t_unknown", "t_use",
             "t_firmware")  # fmt: skip
    kernels.compile_modules(kernels.headers(RELEASE), folder, *names)
    for name, was, now in (
        ("t_gplonly", b"license=GPL\0", b"license=ABC\0"), ("t_namespace", b"=DMA_BUF", b"=DMA_BUX"),
    ):  # fmt: skip
        file = folder / f"{name}.ko"
        assert file.read_bytes().count(was) == 1
        file.write_bytes(file.read_bytes().replace(was, now))
    return folder


@pytest.fixture(scope="session")
def key(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A private key of our own and its certificate."""
    folder = tmp_path_factory.mktemp("key")
    key, certificate = folder / "key.pem", folder / "key.x509"
    subprocess.run(
        ["openssl", "req", "-new", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", "-subj", "/CN=Our own key/",
         "-outform", "DER", "-keyout", key, "-out", certificate], check=True, capture_output=True,
    )  # fmt: skip
    return key, certificate


@pytest.fixture(scope="session")
def signed(built: Path, key: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """t_plain, signed with our key by the kernel's own tool."""
    file = tmp_path_factory.mktemp("signed") / "t_plain.ko"
    tool = kernels.headers(RELEASE) / "scripts" / "sign-file"
    subprocess.run([tool, "sha256", *key, built / "t_plain.ko", file], check=True)
    return file


@pytest.fixture(scope="session")
def by_headers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Kernel]]:
    """What Debian's package of a release's headers tells."""
    folder, known = tmp_path_factory.mktemp("packages"), dict[str, Kernel]()
    with ExitStack() as stack:

        def ask(release: str) -> Kernel:
            if release not in known:
                package = kernels.header_packages(*HEADERS)[release]
                (known[release],) = stack.enter_context(open_kernels(str(package), folder))
            return known[release]

        yield ask


@pytest.fixture(scope="session")
def by_image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Kernel]]:
    """What Debian's package of a kernel tells, unpacked."""
    folder, known = tmp_path_factory.mktemp("images"), dict[str, Kernel]()
    with ExitStack() as stack:

        def ask(release: str) -> Kernel:
            if release not in known:
                root = kernels.kernel(release).root
                (known[release],) = stack.enter_context(open_kernels(str(root), folder))
            return known[release]

        yield ask


def started(kernel: Kernel, command_line: str) -> Kernel:
    return kernel.started_with(Host.of_command_line(command_line))


EVIDENCE = ("Module.symvers", ".config", "include/generated/utsrelease.h", ".kernelvariables")


@pytest.fixture(scope="session")
def headers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of RELEASE, no more than what tells of the kernel."""
    folder = tmp_path_factory.mktemp("headers") / RELEASE
    for name in EVIDENCE:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(kernels.headers(RELEASE) / name, folder / name)
    return folder


@pytest.fixture(scope="session")
def others(headers: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The headers of a kernel whose module_layout is another, so that it takes none of the modules."""
    folder = tmp_path_factory.mktemp("others") / "6.1.0-54-amd64"
    shutil.copytree(headers, folder)
    for name, was, now in (("include/generated/utsrelease.h", RELEASE, "6.1.0-54-amd64"),
                           ("Module.symvers", "\tmodule_layout\t", "\tmodule_layoux\t")):  # fmt: skip
        text = (folder / name).read_text()
        assert was in text
        (folder / name).write_text(text.replace(was, now))
    symvers = folder / "Module.symvers"
    symvers.write_text(symvers.read_text() + "0x00000001\tmodule_layout\tvmlinux\tEXPORT_SYMBOL\t\n")
    return folder
