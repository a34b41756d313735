"""One small tree for each trap of layer semantics that lies in the files themselves, and what a container does to it.

Each trap has a directory of its own, so that a single layer holds them all: ``base`` fills every trap's directory,
``container`` changes it. Both need root, and ``container`` a real overlay mount.
"""

from __future__ import annotations

import os
import shutil
import socket
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

OLD, NEW = b"of the base\n", b"of the container\n"
ACL = bytes.fromhex(
    "02000000" "01000600ffffffff" "02000600e8030000" "04000400ffffffff" "10000600ffffffff" "20000400ffffffff"
)
CAPABILITY_V2 = bytes.fromhex("0100000200040000000000000000000000000000")
CAPABILITY_V3 = bytes.fromhex("0100000300040000000000000000000000000000" "e8030000")
LONG = "n" * 255
BINARY = b"\0\n=\xff"


@dataclass(frozen=True)
class Trap:
    name: str
    base: Callable[[Path], None]
    container: Callable[[Path], None]


TRAPS: list[Trap] = []


def trap(name: str, base: Callable[[Path], object] = lambda here: None) -> Callable[[Callable[[Path], None]], None]:
    def add(container: Callable[[Path], None]) -> None:
        TRAPS.append(Trap(name, lambda here: (base(here), None)[1], container))

    return add


def base(root: Path) -> None:
    for each in TRAPS:
        (root / each.name).mkdir()
        each.base(root / each.name)


def container(root: Path) -> None:
    for each in TRAPS:
        each.container(root / each.name)


def write(file: Path, content: bytes = NEW, mode: int = 0o644) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    file.chmod(mode)
    return file


def link(file: Path, target: str) -> Path:
    file.symlink_to(target)
    return file


def _files(*names: str) -> Callable[[Path], None]:
    def make(here: Path) -> None:
        for name in names:
            write(here / name, OLD)

    return make


@trap("01_replaced", lambda here: (_files("x", "d/a", "d/b", "f")(here), link(here / "s", "x")))
def _(here: Path) -> None:
    (here / "x").unlink()
    write(here / "x")
    shutil.rmtree(here / "d")
    write(here / "d")
    (here / "s").unlink()
    write(here / "s/inside")
    (here / "f").unlink()
    (here / "f").symlink_to("x")


def _remade(here: Path) -> None:
    _files("d/a", "d/sub/b", "d/stays", "d/changes")(here)
    os.utime(here / "d/stays", (5, 5))


@trap("02_remade", _remade)
def _(here: Path) -> None:
    shutil.rmtree(here / "d")
    write(here / "d/new")
    os.utime(write(here / "d/stays", OLD), (5, 5))  # as below, however long it takes to come here
    write(here / "d/changes")


@trap("03_new_directories", _files("d/a"))
def _(here: Path) -> None:
    write(here / "n/deep/x")
    write(here / "d/n/x")


@trap("04_never_was", _files("d/a"))
def _(here: Path) -> None:
    write(here / "d/q").unlink()
    write(here / "q/r")
    shutil.rmtree(here / "q")


@trap("05_names", _files("a.wh.b", ".w", "wh.e", LONG))
def _(here: Path) -> None:
    for name in ("a.wh.b", ".w", LONG):
        (here / name).unlink()
    write(here / "c.wh.d")
    write(here / "wh.f")


@trap("06_removed", _files("d/a", "d/b/c", "e/a", "e/b", "f"))
def _(here: Path) -> None:
    shutil.rmtree(here / "d")
    (here / "e/a").unlink()
    (here / "f").unlink()


@trap("07_copied_up", _files("d/a", "d/b", "touched", "back"))
def _(here: Path) -> None:
    (here / "d").chmod(0o750)
    os.utime(here / "touched", (5, 5))
    (here / "back").chmod(0o600)
    (here / "back").chmod(0o644)
    (here / "d/a").open("ab").close()


@trap("08_metadata_only", lambda here: write(here / "large", OLD * 1000))
def _(here: Path) -> None:
    (here / "large").chmod(0o600)


@trap("09_usr_merge", lambda here: (_files("usr/lib/a")(here), link(here / "lib", "usr/lib")))
def _(here: Path) -> None:
    write(here / "lib/modules/x")
    (here / "lib/a").unlink()


def _parents(here: Path) -> None:
    for name, mode, owner in (("tmp", 0o1777, 0), ("own", 0o755, 1000), ("private", 0o700, 0), ("plain", 0o755, 0)):
        write(here / name / "old", OLD)
        os.chown(here / name, owner, owner)
        (here / name).chmod(mode)
    write(here / "attribute/old", OLD)
    os.setxattr(here / "attribute", "user.a", b"1")
    write(here / "removed/old", OLD)
    (here / "removed").chmod(0o711)


@trap("10_parents", _parents)
def _(here: Path) -> None:
    for name in ("tmp", "own", "private", "plain", "attribute"):
        write(here / name / "x")
    (here / "removed/old").unlink()


@trap("11_link_to_the_base", _files("old"))
def _(here: Path) -> None:
    (here / "new").hardlink_to(here / "old")


def _linked(here: Path) -> None:
    for name in ("a", "broken", "part1"):
        write(here / name, OLD)
    (here / "b").hardlink_to(here / "a")
    (here / "c").hardlink_to(here / "a")
    (here / "broken2").hardlink_to(here / "broken")
    (here / "part2").hardlink_to(here / "part1")


@trap("12_groups", _linked)
def _(here: Path) -> None:
    write(here / "b")  # no longer the inode of a and c
    (here / "broken").chmod(0o600)
    (here / "part1").unlink()
    write(here / "z/first")
    (here / "y").hardlink_to(here / "z/first")
    os.setxattr(here / "y", "user.a", b"1")
    (here / "s1").symlink_to("a")
    os.link(here / "s1", here / "s2", follow_symlinks=False)


@trap("13_twice", _files("x"))
def _(here: Path) -> None:
    write(here / "x")
    (here / "x").chmod(0o600)
    (here / "x").rename(here / "y")
    (here / "y").rename(here / "x")


def _attributes(here: Path) -> None:
    _files("old", "inherits/old", "less/old", "less_file")(here)
    for name in ("less", "less_file"):
        os.setxattr(here / name, "user.a", b"1")


@trap("14_attributes", _attributes)
def _(here: Path) -> None:
    os.removexattr(here / "less", "user.a")
    os.removexattr(here / "less_file", "user.a")
    os.setxattr(here / "old", "user.binary", BINARY)
    os.setxattr(write(here / "new"), "user.plain", b"1")
    os.setxattr(write(here / "acl"), "system.posix_acl_access", ACL)
    (here / "defaults").mkdir()
    os.setxattr(here / "defaults", "system.posix_acl_default", ACL)
    write(here / "inherits/new")
    os.setxattr(here, "system.posix_acl_default", ACL)  # what an engine makes below must not get it


@trap("15_capabilities", _files("old"))
def _(here: Path) -> None:
    os.setxattr(here / "old", "security.capability", CAPABILITY_V2)
    os.setxattr(write(here / "new", mode=0o755), "security.capability", CAPABILITY_V2)
    for name in ("hard new", "z/harder"):  # chown of a link clears what its file has
        write(here / name).unlink()
        (here / name).hardlink_to(here / "new")
    os.setxattr(here / "new", "user.a", b"1")


@trap("16_setuid", _files("old"))
def _(here: Path) -> None:
    for name, mode in (("old", 0o4755), ("new", 0o6711)):
        write(here / name)
        os.chown(here / name, 1000, 1001)
        (here / name).chmod(mode)
    (here / "d").mkdir()
    os.chown(here / "d", 1000, 1001)
    (here / "d").chmod(0o3770)


@trap("17_sparse")
def _(here: Path) -> None:
    with (here / "holes").open("wb") as file:
        file.seek(4 << 20)
        file.write(b"end")


@trap("18_devices", _files("became"))
def _(here: Path) -> None:
    os.mknod(here / "character", stat.S_IFCHR | 0o640, os.makedev(1, 3))
    os.mknod(here / "block", stat.S_IFBLK | 0o640, os.makedev(7, 300))
    os.mkfifo(here / "fifo", 0o640)
    (here / "became").unlink()
    os.mkfifo(here / "became", 0o600)


@trap("19_sockets", _files("was_a_file"))
def _(here: Path) -> None:
    (here / "was_a_file").unlink()
    for name in ("was_a_file", "new"):
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(os.fspath(here / name))


@trap("21_times", _files("old"))
def _(here: Path) -> None:
    second = 10**9
    for name, nanoseconds in (
        ("fraction", 1_600_000_000 * second + 980_000_000), ("epoch", 0), ("before", -5 * second),
        ("before_fraction", -5 * second - 250_000_000), ("after_2038", 2**31 * second), ("after_2106", 2**33 * second),
    ):  # fmt: skip
        os.utime(write(here / name), ns=(nanoseconds, nanoseconds))
    (here / "d").mkdir()
    os.utime(here / "d", (77, 77))


@trap("23_long", _files("d/old"))
def _(here: Path) -> None:
    write(here / ("d/" * 60) / "deep")
    write(here / ("p" * 150) / ("q" * 100))
    write(here / LONG / LONG)
    (here / "to").symlink_to("t" * 200)
    write(here / ("e" * 140) / "first").chmod(0o600)
    (here / "last").hardlink_to(here / ("e" * 140) / "first")
    os.chown(write(here / "owner"), 2**21 + 5, 2**31)
    write(Path(os.fsdecode(os.fsencode(here) + b"/\xff\xfe")))
    write(Path(os.fsdecode(os.fsencode(here) + b"/" + b"\xe9" * 200)))
    write(here / "\u00fc" / ("\u00e4" * 100))


@trap("24_lines", _files("old\nname"))
def _(here: Path) -> None:
    for name in ("a\nb", "a\x0bb", "a\x85b", "a\u2028b", " a ", "a\\b", "a\tb", "-a", "a\rb"):
        write(here / name)
    (here / "old\nname").unlink()


@trap("28_symlinks", lambda here: (_files("d/a")(here), link(here / "into", "d")))
def _(here: Path) -> None:
    (here / "absolute").symlink_to("/etc/passwd")
    (here / "above").symlink_to("../../../../x")
    (here / "into").unlink()
    write(here / "into/b")
