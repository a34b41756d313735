"""Kinds, owners and debugging information, checked against this machine's own files and Debian's tools."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from assembler.report.debug_symbols import debug_bytes
from assembler.report.file_kinds import HEAD, kind_of
from assembler.report.package_owners import PackageOwners, owners_in


class Directory:
    """A directory of this machine as a rootfs."""

    def __init__(self, root: Path) -> None:
        self._root = os.fsencode(root)

    def names(self, path: bytes) -> list[bytes]:
        full = os.path.join(self._root, path)
        return os.listdir(full) if os.path.isdir(full) else []

    def read(self, path: bytes) -> bytes | None:
        return Path(os.fsdecode(os.path.join(self._root, path))).read_bytes()

    def target(self, path: bytes) -> bytes | None:
        full = os.path.join(self._root, path)
        return os.readlink(full) if os.path.islink(full) else None


def owners_of(root: Path) -> PackageOwners:
    found = owners_in(Directory(root))
    assert found is not None
    return found


def no_head() -> bytes:
    raise AssertionError("the file was read although its name says enough")


@pytest.mark.parametrize(
    ("path", "start", "kind"),
    [
        (b"lib/modules/6.1/nvidia.ko", b"\x7fELF\x02", "kernel module"),
        (b"usr/share/vim/tutor.ko", b"welcome to vim in Korean", "text"),
        (b"usr/lib/libc.so.6", b"\x7fELF\x02", "ELF"),
        (b"usr/lib/libc.so", b"/* GNU ld script */", "text"),
        (b"build/x.o", b"\x7fELF\x02", "object file"),
        (b"bin/ldd", b"#!/bin/bash\n", "script"),
        (b"tarball", bytes(257) + b"ustar\x0000", "archive"),
        (b"blob", b"\x28\xb5\x2f\xfd\x00", "archive"),
        (b"random", b"\x01\x00\x02", "data"),
        (b"empty", b"", "text"),
        (b".h", b"a hidden file, no header", "text"),
        (b"var/lib/x.db", b"SQLite format 3\x00", "database"),
    ],
)
def test_by_first_bytes(path: bytes, start: bytes, kind: str) -> None:
    assert kind_of(path, lambda: start) == kind


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        (b"lib/modules/6.1/x.ko.xz", "kernel module"), (b"usr/include/stdio.h", "source"), (b"x/a.b/y.pyc", "bytecode"),
        (b"usr/share/man/man1/ls.1.gz", "archive"), (b"usr/lib/libm.a", "static library"),
    ],
)  # fmt: skip
def test_by_name_without_reading(path: bytes, kind: str) -> None:
    assert kind_of(path, no_head) == kind


def test_a_real_program() -> None:
    with Path(sys.executable).resolve().open("rb") as program:
        assert kind_of(b"usr/bin/python3", lambda: program.read(HEAD)) == "ELF"


def test_owners_agree_with_dpkg() -> None:
    owners = owners_of(Path("/"))
    listed = subprocess.run(["dpkg-query", "--listfiles", "coreutils"], stdout=subprocess.PIPE, check=True).stdout
    files = [line for line in listed.splitlines() if Path(line.decode()).is_file()]
    assert len(files) > 100
    for line in files:
        real = Path(line.decode()).parent.resolve() / Path(line.decode()).name
        assert owners.of(bytes(real)[1:]) == "coreutils", line
    assert owners.of(b"nobody/owns/this") is None


def test_merged_usr_and_apk(tmp_path: Path) -> None:
    info = tmp_path / "var/lib/dpkg/info"
    info.mkdir(parents=True)
    (tmp_path / "lib").symlink_to("usr/lib")
    (info / "kmod:amd64.list").write_bytes(b"/.\n/lib\n/lib/x.so\n/etc/a b\xff\n")
    apk = tmp_path / "usr/lib/apk/db"
    apk.mkdir(parents=True)
    musl = b"C:Q1x\nP:musl\nV:1\nF:usr/lib\nR:ld-musl.so\nZ:Q1\nF:\nR:top\n\n"
    (apk / "installed").write_bytes(musl + b"P:busybox\nF:bin\nR:busybox\n")
    owners = owners_of(tmp_path)
    assert {path: owners.of(path) for path in (b"usr/lib/x.so", b"etc/a b\xff", b"lib/x.so")} == {
        b"usr/lib/x.so": "kmod", b"etc/a b\xff": "kmod", b"lib/x.so": None,
    }  # fmt: skip
    assert [owners.of(path) for path in (b"usr/lib/ld-musl.so", b"top", b"bin/busybox")] == ["musl", "musl", "busybox"]


def test_a_tree_without_a_database(tmp_path: Path) -> None:
    assert len(owners_of(tmp_path)) == 0


def test_a_database_that_was_not_kept(tmp_path: Path) -> None:
    class Unread(Directory):
        def read(self, path: bytes) -> bytes | None:
            return None

    info = tmp_path / "var/lib/dpkg/info"
    info.mkdir(parents=True)
    (info / "kmod.list").write_bytes(b"/lib/x.so\n")
    assert owners_in(Unread(tmp_path)) is None


@pytest.mark.parametrize("flags", [["-g"], ["-g", "-c"], ["-g", "-gz"], ["-c"]])
def test_debugging_information_is_what_strip_takes(flags: list[str], tmp_path: Path) -> None:
    source, built = tmp_path / "x.c", tmp_path / "x"
    source.write_text("struct s { int a; long b; } v = {1, 2};\nint main(void) { return (int)v.b; }\n")
    subprocess.run(["gcc", *flags, str(source), "-o", str(built)], check=True)
    with built.open("rb") as file:
        found = debug_bytes(lambda offset, size: os.pread(file.fileno(), size, offset))
    before = built.stat().st_size
    subprocess.run(["strip", "--strip-debug", str(built)], check=True)
    # strip also takes symbols, section headers and padding with it.
    assert found <= before - built.stat().st_size <= found + 3000
    assert (found > 0) == ("-g" in flags)


@pytest.mark.parametrize("cut", [0, 10, 52, 63, 64, 2000])
def test_damaged_programs_have_none(cut: int) -> None:
    data = Path(sys.executable).resolve().read_bytes()[:cut]
    assert debug_bytes(lambda offset, size: data[offset : offset + size]) == 0


def test_a_program_that_lies_about_its_sections() -> None:
    head = bytearray(Path(sys.executable).resolve().read_bytes()[:64])
    head[60:62] = b"\xff\xff"
    asked: list[int] = []

    def read(offset: int, size: int) -> bytes:
        asked.append(size)
        return bytes(head[offset : offset + size])

    assert debug_bytes(read) == 0
    assert max(asked) <= 1 << 22
