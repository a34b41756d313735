"""An image's platform is that of the files in it, and files of another platform are refused."""

from __future__ import annotations

import io
import tarfile
from typing import TYPE_CHECKING, Any

import pytest

from assembler.image.layout import Layout
from assembler.layer.rootfs_platform import platform_of_rootfs
from assembler.model import media_types
from assembler.model.descriptor import canonical_json
from assembler.model.platform import Platform
from tests.support.debian_mirror import debian_mirror
from tests.support.thin import Imgasm, busybox, read_json, rootfs, write_image

if TYPE_CHECKING:
    from pathlib import Path

    from assembler.engine.client import Engine

FILES = """
name = "sample"
[base]
{base}
[[file]]
path = "/opt/note"
content = "a note"
[[image]]
name = "sample"
onto = "{onto}"
{more}
compression = "gzip"
"""

STEPS = """
name = "sample"
[base]
{base}
[container]
network = "none"
[[step]]
name = "step"
run = "mkdir -p /opt/data && cp /bin/busybox /opt/program && echo data > /opt/data/file"
[[image]]
name = "sample"
onto = "{onto}"
{more}
compression = "gzip"
"""


@pytest.fixture
def imgasm(tmp_path: Path) -> Imgasm:
    return Imgasm(tmp_path)


@pytest.fixture(scope="module")
def arm64() -> bytes:
    return for_machine(183)


def for_machine(machine: int) -> bytes:
    """This machine's busybox, under a header for another one (elf-em.h)."""
    program = next(member for member in members(busybox()) if member.name == "usr/bin/busybox")
    tar = busybox()
    head = program.offset_data
    return tar[: head + 18] + machine.to_bytes(2, "little") + tar[head + 20 :]


def members(tar: bytes) -> list[tarfile.TarInfo]:
    with tarfile.open(fileobj=io.BytesIO(tar)) as archive:
        return archive.getmembers()


def write(imgasm: Imgasm, text: str, base: str, onto: str = "base", more: str = "") -> None:
    (imgasm.directory / "sample.toml").write_text(text.format(base=base, onto=onto, more=more))


def told(imgasm: Imgasm, *options: str) -> str:
    """The platform that the built image's config says."""
    image = imgasm.json("build", "sample.toml", *options)["images"][0]
    layout = imgasm.directory / "build/sample"
    config: dict[str, Any] = read_json(layout, read_json(layout, image["manifest"])["config"]["digest"])
    return "/".join(config[key] for key in ("os", "architecture", "variant") if key in config)


def stored(imgasm: Imgasm, name: str, tar: bytes, **platform: str) -> None:
    write_image(Layout.create(imgasm.directory / name), f"localhost/{name}:1", tar, platform=platform)


@pytest.mark.parametrize("onto", ["base", "scratch"])
def test_a_rootfs_is_for_what_its_programs_are_for(imgasm: Imgasm, arm64: bytes, onto: str) -> None:
    (imgasm.directory / "base.tar").write_bytes(arm64)
    write(imgasm, FILES, 'rootfs = "base.tar"', onto)

    assert told(imgasm) == "linux/arm64"
    assert told(imgasm, "--platform", "linux/arm64") == "linux/arm64"


def test_files_of_another_platform_are_refused(imgasm: Imgasm) -> None:
    """``--platform`` was written into the config, whatever the files were."""
    (imgasm.directory / "base.tar").write_bytes(busybox())
    write(imgasm, FILES, 'rootfs = "base.tar"', "scratch")
    assert told(imgasm) == "linux/amd64"

    refused = imgasm("build", "sample.toml", "--platform", "linux/arm64", status=8)
    assert "base.tar is for linux/amd64, and --platform asks for linux/arm64" in refused.stderr
    assert "name a base for linux/arm64" in refused.stderr


@pytest.mark.parametrize("onto", ["base", "scratch"])
def test_a_layout_of_another_platform_is_refused(imgasm: Imgasm, onto: str) -> None:
    stored(imgasm, "below", busybox(), architecture="arm", variant="v7")
    write(imgasm, FILES, 'layout = "./below"', onto)
    assert told(imgasm) == "linux/arm/v7"
    assert told(imgasm, "--platform", "linux/arm") == "linux/arm/v7"

    for platform in ("linux/amd64", "linux/arm/v6"):
        assert f"asks for {platform}" in imgasm("build", "sample.toml", "--platform", platform, status=8).stderr


def test_a_rootfs_that_says_nothing_is_for_what_is_asked(imgasm: Imgasm) -> None:
    """One tarball in the cache twice, once for each platform."""
    (imgasm.directory / "base.tar").write_bytes(rootfs({"etc": None, "etc/os-release": b"ID=none\n"}))
    write(imgasm, FILES, 'rootfs = "base.tar"')

    assert told(imgasm, "--platform", "linux/arm/v6") == "linux/arm/v6"
    assert told(imgasm, "--platform", "linux/s390x") == "linux/s390x"
    assert told(imgasm) == "linux/amd64"


def bootstrap(directory: Path, architecture: str) -> str:
    """An archive of one package for ``architecture``, and mmdebstrap's table for it."""
    mirror = debian_mirror(directory / architecture, "tiny", {"opt/tiny": b"contents\n"}, architecture)
    return f"suite = 'bookworm', variant = 'extract', packages = ['tiny'], mirror = '{mirror}'"


def test_a_bootstrap_is_for_its_architecture(imgasm: Imgasm) -> None:
    table = bootstrap(imgasm.directory, "armhf")
    write(imgasm, FILES, f"bootstrap = {{ {table}, architecture = 'armhf' }}")
    assert told(imgasm) == "linux/arm/v7"
    assert "asks for linux/arm64" in imgasm("build", "sample.toml", "--platform", "linux/arm64", status=8).stderr


def test_a_bootstrap_without_an_architecture_is_made_for_the_platform(imgasm: Imgasm) -> None:
    write(imgasm, FILES, f"bootstrap = {{ {bootstrap(imgasm.directory, 'arm64')} }}")
    assert told(imgasm, "--platform", "linux/arm64") == "linux/arm64"
    names = [path.name for path in (imgasm.directory / ".cache/imgasm/bases").iterdir()]
    assert [name.endswith("linux-arm64") for name in names if name.startswith("bootstrap")] == [True]


def test_a_program_is_not_stacked_on_an_image_for_another_platform(imgasm: Imgasm) -> None:
    stored(imgasm, "other", rootfs({"etc": None}), architecture="arm64")
    program = next(iter(busybox_files()))
    (imgasm.directory / "base.tar").write_bytes(rootfs({"opt": None, "opt/program": program, "opt/data": b"data"}))
    write(imgasm, FILES, 'rootfs = "base.tar"', "./other", 'keep = ["/opt/**"]')
    refused = imgasm("build", "sample.toml", status=7)
    assert "/opt/program is for linux/amd64" in refused.stderr and "is for linux/arm64" in refused.stderr
    assert not (imgasm.directory / "build/sample/imgasm.json").exists()

    write(imgasm, FILES, 'rootfs = "base.tar"', "./other", 'keep = ["/opt/data", "/opt/note"]')
    assert told(imgasm) == "linux/arm64", "data is for any machine"


def test_what_a_cross_compiler_made_goes_onto_its_own_platform(imgasm: Imgasm, arm64: bytes) -> None:
    stored(imgasm, "other", rootfs({"etc": None}), architecture="arm64")
    with tarfile.open(fileobj=io.BytesIO(arm64)) as tar:
        made = tar.extractfile("usr/bin/busybox")
        assert made is not None
        files: dict[str, bytes | str | None] = {"opt": None, "opt/made": made.read(), "bin": None}
    programs = {f"bin/{number}": program for number, program in enumerate(busybox_files() * 2)}
    (imgasm.directory / "base.tar").write_bytes(rootfs({**files, **programs}))
    write(imgasm, FILES, 'rootfs = "base.tar"', "./other", 'keep = ["/opt/**"]')

    assert told(imgasm) == "linux/arm64"


def busybox_files() -> list[bytes]:
    with tarfile.open(fileobj=io.BytesIO(busybox())) as tar:
        program = tar.extractfile("usr/bin/busybox")
        assert program is not None
        return [program.read()]


@pytest.mark.engine
def test_steps_that_cannot_run_here_are_told_so(engine: Engine, imgasm: Imgasm) -> None:
    (imgasm.directory / "base.tar").write_bytes(for_machine(243))
    write(imgasm, STEPS, 'rootfs = "base.tar"')
    refused = imgasm("build", "sample.toml", "--engine", engine.name, status=5)
    assert f"the base is for linux/riscv64, and {engine.name} on linux/amd64 can't run" in refused.stderr
    assert "qemu-user-static" in refused.stderr


@pytest.mark.engine
def test_steps_run_on_what_the_base_is_for(engine: Engine, imgasm: Imgasm) -> None:
    """A kernel for amd64 runs programs of a base that says 386, and that is what the image then says."""
    stored(imgasm, "below", busybox(), architecture="386")
    write(imgasm, STEPS, 'layout = "./below"', "scratch", 'keep = ["/opt/**"]')
    assert told(imgasm, "--engine", engine.name) == "linux/386"
    assert "--platform is for builds without steps" in imgasm("build", "sample.toml", "--platform", "linux/386",
                                                             status=2).stderr


@pytest.mark.parametrize(("files", "platform"), [
    ({"var/lib/dpkg/status": b"Package: dpkg\nArchitecture: armel\n"}, "linux/arm/v5"),
    ({"var/lib/dpkg/status": b"Package: libc6\nArchitecture: armhf\n\nPackage: dpkg\nArchitecture: i386\n"},
     "linux/386"),
    ({"var/lib/dpkg/status": b"Package: tzdata\nArchitecture: all\n"}, None),
    ({"var/lib/dpkg/arch": b"ppc64el\namd64\n", "var/lib/dpkg/status": b"Package: gcc\nArchitecture: amd64\n"},
     "linux/ppc64le"),
    ({"etc/apk/arch": b"armhf\n"}, "linux/arm/v6"),
    ({"bin/sh": b"\x7fELF\x02\x02\x01" + bytes(9) + b"\0\x02\0\x16"}, "linux/s390x"),
    ({"lib/firmware/gsp.bin": b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x02\0\xf3\0"}, None),
    ({"opt/a.ko": b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x01\0\xb7\0"}, "linux/arm64"),
    ({"opt/a.ko": b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x01\0\xb7\0",
      "opt/b.ko": b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x01\0\x3e\0"}, None),
    ({"opt/short": b"\x7fELF", "opt/odd": b"\x7fELF\x09\x09" + bytes(20), "bin/sh": b"#!/bin/busybox sh\n"}, None),
])  # fmt: skip
def test_what_a_rootfs_says_of_its_platform(files: dict[str, bytes | str | None], platform: str | None) -> None:
    found = platform_of_rootfs(io.BytesIO(rootfs(files)))
    assert (str(found) if found else None) == platform


@pytest.mark.parametrize(("machine", "program", "runs"), [
    ("linux/arm/v7", "linux/arm/v6", True), ("linux/arm/v6", "linux/arm/v7", False),
    ("linux/arm", "linux/arm/v7", True), ("linux/arm", "linux/arm/v8", False), ("linux/arm/v6", "linux/arm", True),
    ("linux/arm64", "linux/arm64/v8", True), ("linux/arm64/v8", "linux/arm64", True),
    ("linux/amd64", "linux/amd64/v3", False), ("linux/amd64/v3", "linux/amd64/v2", True),
    ("linux/amd64", "linux/arm64", False), ("linux/amd64", "linux/386", False), ("linux/amd64", "freebsd/amd64", False),
])  # fmt: skip
def test_a_variant_runs_what_is_older(machine: str, program: str, runs: bool) -> None:
    assert Platform.parse(machine).runs(Platform.parse(program)) is runs


@pytest.mark.parametrize("name", ["amd64", "arm64", "armhf", "armel", "i386", "ppc64el", "mips64el", "s390x"])
def test_debian_s_names_and_back(name: str) -> None:
    assert Platform.of_debian(name).debian == name


@pytest.mark.parametrize("machine", [62, 183])
def test_the_base_says_which_image_of_an_index_it_goes_onto(imgasm: Imgasm, machine: int) -> None:
    """It was the engine's platform, or this machine's."""
    layout = Layout.create(imgasm.directory / "both")
    images = {name: write_image(layout, f"localhost/{name}:1", rootfs({name: None}), platform={"architecture": name})
              for name in ("amd64", "arm64")}  # fmt: skip
    entries = [one.to_json() | {"platform": {"os": "linux", "architecture": name}} for name, one in images.items()]
    index = canonical_json({"schemaVersion": 2, "mediaType": media_types.OCI_INDEX, "manifests": entries})
    (imgasm.directory / "both/index.json").write_bytes(
        canonical_json({"schemaVersion": 2, "manifests": [layout.put_bytes(media_types.OCI_INDEX, index).to_json()]})
    )
    (imgasm.directory / "base.tar").write_bytes(for_machine(machine))
    write(imgasm, FILES, 'rootfs = "base.tar"', "./both", 'keep = ["/opt/**"]')

    assert told(imgasm) == {62: "linux/amd64", 183: "linux/arm64"}[machine]
