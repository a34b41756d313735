"""The traps as layers made by hand: of each a base, what the container made of it, and the bytes of a layer for that.

Trees of most are the corpus's; here is what a layer by hand holds. ``RIGHT`` layers say what the image-spec wants, in
forms that imgasm does not write where there are others (opaque directories, GNU's long names and numbers, names of
users). ``WRONG`` ones fall into the trap; what each engine makes of them is stated with the tests.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from tests.referees.handmade import Member, plan, tar
from tests.support import corpus
from tests.support.corpus import ACL, CAPABILITY_V2, CAPABILITY_V3, LONG, NEW, OLD, link, write

if TYPE_CHECKING:
    from tests.support.rootfs import Facts

Change = Callable[[Path], object]
Names = Sequence[str | bytes]
CAPABILITY = "security.capability"


@dataclass(frozen=True)
class Trap:
    """``layer`` makes the bytes by hand, given what the container has (all paths begin with ``name``)."""

    name: str
    base: Change
    container: Change
    layer: Callable[[Facts], bytes]
    mounts: tuple[bytes, ...] = ()


def _of(name: str, names: Names, *, gnu: bool = False, trailing: int = 0) -> Callable[[Facts], bytes]:
    return lambda facts: tar(plan(names, facts, name.encode()), gnu=gnu, trailing=trailing)


_HAND: dict[str, Names] = {
    "01_replaced": ("x", "d", "s", "s/inside", "f"),
    "02_remade": ("d", "d/.wh..wh..opq", "d/stays", "d/new", "d/changes"),
    "03_new_directories": ("n", "n/.wh..wh..opq", "n/deep", "n/deep/x", "d/n", "d/n/x"),
    "04_never_was": (),
    "05_names": (".wh.a.wh.b", ".wh..w", ".wh." + LONG, "c.wh.d", "wh.f"),
    "06_removed": ("e/.wh.a", ".wh.f", ".wh.d"),
    "07_copied_up": ("d",),
    "08_metadata_only": ("large",),
    "09_usr_merge": ("usr/lib/modules", "usr/lib/modules/x", "usr/lib/.wh.a"),
    "10_parents": ("tmp", "tmp/x", "own", "own/x", "private", "private/x", "plain/x", "attribute", "attribute/x",
                   "removed", "removed/.wh.old"),
    "11_link_to_the_base": ("old", "new=old"),
    "12_groups": ("z", "z/first", "y=z/first", "b", "broken", "s1", "s2=s1", ".wh.part1"),
    "13_twice": ("x",),
    "14_attributes": ("old", "new", "acl", "less", "less_file", "inherits/new", "defaults", ""),
    "15_capabilities": ("old", "z", "new", "z/harder=new", "hard new=z/harder"),
    "16_setuid": ("old", "new", "d"),
    "17_sparse": ("holes",),
    "18_devices": ("character", "block", "fifo", "became"),
    "19_sockets": (".wh.was_a_file",),
    "21_times": ("fraction", "epoch", "before", "before_fraction", "after_2038", "after_2106", "d"),
    "24_lines": (".wh.old\nname", "a\nb", "a\x0bb", "a\x85b", "a\u2028b", " a ", "a\\b", "a\tb", "-a", "a\rb"),
    "28_symlinks": ("absolute", "above", "into", "into/b"),
}  # fmt: skip

RIGHT: list[Trap] = []


def right(
    name: str, base: Change, container: Change, layer: Callable[[Facts], bytes], mounts: tuple[bytes, ...] = ()
) -> None:
    """Adds a trap; ``base`` and ``container`` work in its directory."""

    def inside(change: Change) -> Change:
        def do(root: Path) -> None:
            (root / name).mkdir(exist_ok=True)
            change(root / name)

        return do

    RIGHT.append(Trap(name, inside(base), inside(container), layer, mounts))


def _long(facts: Facts) -> bytes:
    """In GNU's form: names in members of their own, and owners in base 256."""
    here, first = b"23_long/", b"e" * 140 + b"/first"
    names = sorted(path.removeprefix(here) for path in facts if path.startswith(here) and path != here + b"d/old")
    return tar(plan([name + b"=" + first if name == b"last" else name for name in names], facts, here[:-1]), gnu=True)


for each in corpus.TRAPS:
    by_hand = _long if each.name == "23_long" else _of(each.name, _HAND[each.name], gnu=each.name == "21_times")
    right(each.name, each.base, each.container, by_hand)


def _replaced_by_inherited(here: Path) -> None:
    for name in ("s", "f"):
        (here / name).unlink()
        (here / name).mkdir()
        os.setxattr(here / name, "system.posix_acl_default", ACL)
        write(here / name / "inside")


def _stubs(here: Path) -> None:
    for name in ("mnt/in/put", "resolv.conf", "mine", "../.dockerenv"):
        write(here / name)


def _two_times(facts: Facts) -> bytes:
    path = b"22_records_come_first/" + b"l" * 120
    return tar([Member(path, facts[path], pax={b"mtime": b"%d" % facts[path].mtime}, time=77)])


def _names_of_the_host(facts: Facts) -> bytes:
    path = b"25_names_of_the_host/old"
    pax = {b"atime": b"1", b"ctime": b"2", b"uname": b"daemon", b"gname": b"mail", b"comment": b"by hand"}
    return tar([Member(path, facts[path], pax=pax, owner=(b"daemon", b"mail"))])


def _nothing(here: Path) -> None:
    """An empty directory."""


def _old(here: Path) -> None:
    write(here / "old", OLD)


right("14_default_acl_in_anothers_place", lambda here: (link(here / "s", "x"), write(here / "f", OLD)),
      _replaced_by_inherited, _of("14_default_acl_in_anothers_place", ("s", "s/inside", "f", "f/inside")))
right("15_of_a_user_namespace", _old, lambda here: os.setxattr(here / "old", CAPABILITY, CAPABILITY_V3),
      _of("15_of_a_user_namespace", ("old",)))
right("20_stubs", _nothing, _stubs, _of("20_stubs", ("mine",)), (b"20_stubs/mnt/in/put", b"20_stubs/resolv.conf"))
right("22_records_come_first", _nothing, lambda here: os.utime(write(here / ("l" * 120)), (5, 5)), _two_times)
right("25_names_of_the_host", _old, lambda here: os.chown(here / "old", 4321, 1234), _names_of_the_host)
right("26_trailing_zeros", _nothing, lambda here: write(here / "new"),
      _of("26_trailing_zeros", ("new",), trailing=20 * 512))


@dataclass(frozen=True)
class Wrong:
    """A layer that falls into a trap. ``does`` says what becomes of it: "right" is the container's tree all the same.

    Otherwise "refused"; "ghost", a name in a directory that can't be looked at; or the paths that are not as they must.
    """

    name: str
    base: Change
    container: Change
    layer: Callable[[Facts], list[Member]]
    does: dict[str, str]


WRONG: list[Wrong] = []
# All but GNU tar, which unpacks archives and knows nothing of images: its whiteouts are the tests' own.
ENGINES = ("umoci", "podman overlay", "podman vfs", "docker overlay2", "docker vfs", "containerd")


def wrong(
    name: str, base: Change, container: Change, layer: Names | Callable[[Facts], list[Member]], *does: str
) -> None:
    """``does`` in the order of ``ENGINES``, or one word for all of them."""
    each = does if len(does) > 1 else does * len(ENGINES)
    members = layer if callable(layer) else partial(plan, layer, directory=b"")
    WRONG.append(Wrong(name, base, container, members, dict(zip(ENGINES, each, strict=True))))


def files(content: bytes, *names: str) -> Change:
    return lambda root: [write(root / name, content) for name in names]


had, made = partial(files, OLD), partial(files, NEW)


def _remade(root: Path) -> None:
    shutil.rmtree(root / "d")
    write(root / "d/new")


def _merged_usr(root: Path) -> None:
    write(root / "usr/lib/a", OLD)
    link(root / "lib", "usr/lib")


def _sticky(root: Path) -> None:
    write(root / "tmp/a", OLD)
    (root / "tmp").chmod(0o1777)


def _inherits(root: Path) -> None:
    write(root / "d/x")
    os.setxattr(root / "d", "system.posix_acl_default", ACL)


def _capable_twice(root: Path) -> None:
    os.setxattr(write(root / "new"), CAPABILITY, CAPABILITY_V2)
    (root / "hard").hardlink_to(root / "new")


wrong("01_a_whiteout_after_what_replaces_it", had("x"), made("x"), ("x", ".wh.x"),
      "right", "refused", "x", "refused", "x", "refused")
wrong("02_a_directory_made_again_and_nothing_said_of_what_was_in_it", had("d/a"), _remade, ("d", "d/new"), "d/a")
wrong("04_a_whiteout_in_an_opaque_directory", had("d/a"), _remade, ("d", "d/.wh..wh..opq", "d/.wh.q", "d/new"),
      "right", "ghost", "right", "ghost", "right", "ghost")
wrong("04_a_whiteout_in_a_directory_that_never_was", had("x"), made("x"), ("x", "nodir/.wh.q"),
      "right", "ghost", "nodir", "ghost", "nodir", "ghost")
wrong("05_a_whiteout_without_a_name", had("d/a"), made("new"), ("new", "d/.wh."),
      "refused", "refused", "d d/a", "refused", "d d/a", "refused")
wrong("05_a_file_whose_name_means_a_removal", had("d/a"), made("d/.wh.a"), ("d/.wh.a",), "d/.wh.a d/a")
wrong("09_a_path_through_a_link_of_the_base", _merged_usr, made("usr/lib/x"),
      lambda facts: [Member(b"lib/x", facts[b"usr/lib/x"])],
      "right", "lib lib/x usr/lib/x", "right", "lib lib/x usr/lib/x", "right", "lib lib/x usr/lib/x")
wrong("09_a_directory_in_the_place_of_a_link_of_the_base", _merged_usr, made("usr/lib/x"),
      lambda facts: [Member(b"lib", facts[b"usr/lib"]), Member(b"lib/x", facts[b"usr/lib/x"])],
      "lib lib/x usr/lib/x")
wrong("10_a_parent_left_out", _sticky, made("tmp/x"), ("tmp/x",), "right", "tmp", "right", "tmp", "right", "right")
wrong("10_a_parent_with_a_mode_of_its_own", _sticky, made("tmp/x"),
      lambda facts: [Member(b"tmp", replace(facts[b"tmp"], mode=0o755)), Member(b"tmp/x", facts[b"tmp/x"])], "tmp")
wrong("11_a_link_to_a_file_of_the_base", had("old"), lambda root: (root / "new").hardlink_to(root / "old"),
      ("new=old",), "right", "refused", "right", "refused", "right", "refused")
wrong("13_a_path_twice", had("x"), made("x"), lambda facts: [Member(b"x", facts[b"x"]), Member(b"./x", facts[b"x"])],
      "right", "refused", "refused", "refused", "refused", "right")
wrong("14_a_default_acl_before_what_is_in_it", made("d/old"), _inherits, ("d", "d/x"),
      "right", "d/x", "d/x", "d/x", "d/x", "d/x")
wrong("15_a_capability_of_a_user_namespace", had("x"), lambda root: os.setxattr(root / "x", CAPABILITY, CAPABILITY_V2),
      lambda facts: [Member(b"x", replace(facts[b"x"], xattrs=((CAPABILITY, CAPABILITY_V3),)))], "x")
wrong("15_a_capability_that_a_link_does_not_repeat", had("x"), _capable_twice,
      lambda facts: [Member(b"new", facts[b"new"]), Member(b"hard", facts[b"new"], b"new", repeats=False)],
      "right", "right", "right", "hard new", "hard new", "hard new")
wrong("20_a_stub", had("x"), made("x"), lambda facts: [Member(b"x", facts[b"x"]), Member(b".dockerenv", facts[b"x"])],
      ".dockerenv")
