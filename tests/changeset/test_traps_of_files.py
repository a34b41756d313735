"""Traps 14 to 28, one test each by number and name: what is written of a file, and how.

27 is in tests/image/test_assemble.py; what reading must make of 17, 21 and 26 is in tests/layer/test_read_tar.py.
"""

from __future__ import annotations

import contextlib
import io
import os
import tarfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from assembler.changeset.capture import changeset, of_exports, of_overlay
from assembler.changeset.overlay_tree import OverlayTree, UnreadableOverlay
from assembler.changeset.path_rules import Patterns, Rules
from assembler.changeset.tar_tree import TarTree
from assembler.changeset.tree import EmptyTree
from assembler.errors import ChangesetError, ImageError
from assembler.layer.entry import Entry
from assembler.layer.tar_header import END, header
from assembler.model.node import Kind, Node
from tests.support import corpus
from tests.support.corpus import OLD, write
from tests.support.deep import deep_tree
from tests.support.making import Made, changed, make
from tests.support.scene import scene

pytestmark = pytest.mark.root


def test_trap_14_attributes_are_kept_whole(traps: Made) -> None:
    found = traps.below("14_attributes")
    kept = {name: {key: value.encode("utf-8", "surrogateescape") for key, value in member.pax_headers.items()}
            for name, member in found.items()}
    assert kept == {
        "old": {"SCHILY.xattr.user.binary": corpus.BINARY},
        "new": {"SCHILY.xattr.user.plain": b"1"},
        "acl": {"SCHILY.xattr.system.posix_acl_access": corpus.ACL},
        "defaults": {"SCHILY.xattr.system.posix_acl_default": corpus.ACL},
        "inherits/new": {}, "less": {}, "less_file": {},
    }


def test_trap_14_a_directory_whose_acl_is_inherited_stands_behind_all_that_is_in_it(traps: Made) -> None:
    names = list(traps.members())
    inherited = [name for name, member in traps.members().items()
                 if "SCHILY.xattr.system.posix_acl_default" in member.pax_headers]
    assert names[-len(inherited):] == inherited == ["14_attributes/defaults", "14_attributes"]


def test_trap_14_every_drop_is_told() -> None:
    def container(root: Path) -> None:
        write(root / "f")
        for name, value in (("trusted.t", b"1"), ("user.empty", b""), ("user.a=b", b"1"), ("user.kept", b"1")):
            os.setxattr(root / "f", name, value)

    with changed(lambda root: None, container=container) as made:
        assert list(made.members()["f"].pax_headers) == ["SCHILY.xattr.user.kept"]
        assert sorted(finding.what.split(" is ")[0] for finding in made.result.findings) == [
            "the attribute trusted.t", "the attribute user.a=b", "the attribute user.empty",
        ]


def test_trap_14_a_drop_that_leaves_nothing_to_write_is_told_as_well() -> None:
    def container(root: Path) -> None:
        os.setxattr(root / "f", "trusted.t", b"1")

    with changed(lambda root: write(root / "f"), container=container) as made:
        assert made.members() == {}
        assert made.told() == {"f": "the attribute trusted.t is not in the layer"}


def test_trap_15_capabilities_are_kept(traps: Made) -> None:
    found = traps.below("15_capabilities")
    values = {member.pax_headers["SCHILY.xattr.security.capability"].encode("utf-8", "surrogateescape")
              for name, member in found.items() if name != "z"}
    assert sorted(found) == ["hard new", "new", "old", "z", "z/harder"] and values == {corpus.CAPABILITY_V2}
    assert traps.content("15_capabilities/old") == OLD


def test_trap_15_a_hard_link_repeats_its_files_capabilities_and_no_other_attribute(traps: Made) -> None:
    """Docker and containerd chown the link, which clears the capabilities, and set what its own header has."""
    links = [member for member in traps.below("15_capabilities").values() if member.islnk()]
    assert [member.pax_headers.keys() for member in links] == [{"SCHILY.xattr.security.capability"}] * 2


def test_trap_15_capabilities_of_a_user_namespace_become_everyones() -> None:
    def container(root: Path) -> None:
        os.setxattr(write(root / "f"), "security.capability", corpus.CAPABILITY_V3)

    with scene(lambda root: None, container=container) as done:
        value = make(done).members()["f"].pax_headers["SCHILY.xattr.security.capability"]
    assert value.encode("utf-8", "surrogateescape") == corpus.CAPABILITY_V2


def test_trap_16_all_twelve_bits_are_written(traps: Made) -> None:
    found = traps.below("16_setuid")
    assert {name: (member.mode, member.uid, member.gid) for name, member in found.items()} == {
        "old": (0o4755, 1000, 1001), "new": (0o6711, 1000, 1001), "d": (0o3770, 1000, 1001),
    }


def test_trap_17_sparse_files_are_written_in_full_and_told(traps: Made) -> None:
    assert traps.members()["17_sparse/holes"].size == (4 << 20) + 3
    assert traps.content("17_sparse/holes") == bytes(4 << 20) + b"end"
    assert "sparse" in traps.told()["17_sparse/holes"] and "4.19 MB in the layer" in traps.told()["17_sparse/holes"]


def test_trap_17_an_export_tells_of_files_that_are_mostly_empty() -> None:
    def container(root: Path) -> None:
        with open(write(root / "holes"), "r+b") as file:
            file.truncate(4 << 20)
        write(root / "full", b"x" * (4 << 20))

    with scene(lambda root: None, container=container) as done, done.exports() as capture:
        found = changeset(capture, None, Patterns()).findings
        assert [(finding.path, finding.what.partition(":")[0]) for finding in found] == [(b"holes", "is mostly empty")]


def test_trap_18_devices_and_fifos(traps: Made) -> None:
    found = traps.below("18_devices")
    assert found["character"].ischr() and found["block"].isblk() and found["became"].isfifo()
    assert (found["block"].devmajor, found["block"].devminor) == (7, 300)


def test_trap_18_nothing_below_dev_is_the_containers() -> None:
    def base(root: Path) -> None:
        write(root / "dev/of-the-base", OLD)

    def container(root: Path) -> None:
        os.mknod(root / "dev/made", 0o20600, os.makedev(1, 3))
        write(root / "sys/new")
        write(root / "dev/of-the-base")
        write(root / "devices")

    with scene(base, container=container) as done:
        assert sorted(make(done).members()) == ["dev/of-the-base", "devices"]


def test_trap_19_sockets_are_left_out_and_told(traps: Made) -> None:
    assert sorted(traps.below("19_sockets")) == [".wh.was_a_file"]
    assert {name for name, what in traps.told().items() if "socket" in what} == {
        "19_sockets/was_a_file", "19_sockets/new",
    }


def test_trap_20_what_engines_put_there_is_left_out() -> None:
    def base(root: Path) -> None:
        write(root / "etc/hosts", OLD)
        (root / "src").mkdir()

    def container(root: Path) -> None:
        for name in (".dockerenv", "run/.containerenv", "etc/resolv.conf", "etc/hostname", "run/secrets/key",
                     "mnt/in/put", "src/sources"):
            write(root / name)
        write(root / "etc/mine")

    mounts = (b"etc/resolv.conf", b"etc/hostname", b"etc/hosts", b"run/secrets", b"mnt/in/put", b"src/sources", b"dev")
    with scene(base, container=container) as done:
        assert sorted(make(done, mounts=mounts).members()) == ["etc/mine"]


def test_trap_21_times_are_floored(traps: Made) -> None:
    found = traps.below("21_times")
    times = {name: member.mtime for name, member in found.items()}
    assert times == {
        "fraction": 1_600_000_000, "epoch": 0, "before": -5, "before_fraction": -6, "after_2038": 2**31,
        "after_2106": 2**33, "d": 77,
    }
    written = {name for name, member in found.items() if "mtime" in member.pax_headers}
    assert written == {"before", "before_fraction", "after_2106"}  # 11 octal digits hold the others


def test_trap_22_a_clamped_time_is_clamped_whatever_else_the_header_needs() -> None:
    long = "l" * 200

    def container(root: Path) -> None:
        for name, seconds in ((long, 2**40), ("short", 2**40), ("early", 5)):
            os.utime(write(root / name), (seconds, seconds))

    with scene(lambda root: None, container=container) as done:
        found = make(done, clamp=1_700_000_000).members()
    assert {name: member.mtime for name, member in found.items()} == {
        long: 1_700_000_000, "short": 1_700_000_000, "early": 5,
    }


def test_trap_23_what_ustar_can_not_hold_is_in_pax(traps: Made) -> None:
    found = traps.below("23_long")
    assert found["to"].linkname == "t" * 200
    assert (found["owner"].uid, found["owner"].gid) == (2**21 + 5, 2**31)
    assert "\udcff\udcfe" in found and "d/" * 60 + "deep" in found and "p" * 150 + "/" + "q" * 100 in found
    assert found["last"].islnk() or found["e" * 140 + "/first"].islnk()
    assert found["\udce9" * 200].pax_headers["hdrcharset"] == "BINARY"


def test_trap_23_the_charset_is_told_only_of_values_that_are_there() -> None:
    link = Entry(b"\xff", Node(Kind.SYMLINK, 0o777, target=b"a" * 200))
    assert b"hdrcharset" not in header(link) and b"hdrcharset" in header(link._replace(path=b"\xff" * 200))


def test_trap_23_attributes_that_gos_readers_refuse_are_an_error() -> None:
    attributes = tuple((b"user.%02d" % number, b"x" * 60_000) for number in range(20))
    with pytest.raises(ImageError, match="more than readers of layers take"):
        header(Entry(b"f", Node(Kind.REGULAR, 0o644, xattrs=attributes)))


def test_trap_23_a_size_over_8_gib_is_in_pax() -> None:
    size = 8 << 30
    entry = Entry(b"big", Node(Kind.REGULAR, 0o644, size=size))
    member = tarfile.TarInfo.frombuf(header(entry)[-512:], "utf-8", "strict")
    assert (member.size, b"19 size=%d\n" % size in header(entry)) == (0, True)
    smaller = header(Entry(b"big", Node(Kind.REGULAR, 0o644, size=size - 1)))
    assert tarfile.TarInfo.frombuf(smaller, "utf-8", "strict").size == size - 1


def test_trap_24_names_with_line_ends_are_whole(traps: Made) -> None:
    assert sorted(traps.below("24_lines")) == sorted(
        [".wh.old\nname", "a\nb", "a\x0bb", "a\x85b", "a\u2028b", " a ", "a\\b", "a\tb", "-a", "a\rb"]
    )


def test_trap_25_headers_tell_nothing_of_the_host(traps: Made) -> None:
    members = traps.members()
    assert {(member.uname, member.gname) for member in members.values()} == {("", "")}
    keywords = {key for member in members.values() for key in member.pax_headers}
    assert not keywords & {"atime", "ctime", "uname", "gname", "comment"}


def test_trap_25_links_are_the_same_whatever_was_made_first(tmp_path: Path) -> None:
    def container(first: str, second: str) -> Callable[[Path], None]:
        def change(root: Path) -> None:
            os.utime(write(root / first), (5, 5))
            (root / second).hardlink_to(root / first)

        return change

    layers = []
    for names in (("a", "b"), ("b", "a")):
        with scene(lambda root: None, container=container(*names)) as done:
            layers.append(make(done).layer)
    assert layers[0] == layers[1]


def test_trap_26_two_zero_blocks_end_the_layer(traps: Made) -> None:
    assert traps.layer.endswith(END) and len(END) == 1024
    assert traps.layer[-1536:-1024] != bytes(512)
    with tarfile.open(fileobj=io.BytesIO(traps.layer), errors="surrogateescape") as tar:
        last = tar.getmembers()[-1]
    assert last.offset_data + last.size + -last.size % 512 == len(traps.layer) - len(END)


def test_trap_28_names_that_lead_out_are_refused_in_a_base_and_symlinks_are_not(traps: Made) -> None:
    found = traps.below("28_symlinks")
    assert (found["absolute"].linkname, found["above"].linkname) == ("/etc/passwd", "../../../../x")
    assert found["into"].isdir() and "into/b" in found
    for name in ("../x", "a/../../x"):
        stream = io.BytesIO()
        with tarfile.open(fileobj=stream, mode="w") as tar:
            tar.addfile(tarfile.TarInfo(name))
        stream.seek(0)
        with pytest.raises(ImageError, match="leads out"):
            TarTree().read_export(stream)


def test_the_root_directory_is_never_in_a_layer_and_told() -> None:
    def closed(root: Path) -> None:
        write(root / "f")
        root.chmod(0o700)

    with scene(lambda root: None, container=closed) as done:
        made = make(done)
        assert sorted(made.members()) == ["f"]
        assert "root directory" in made.told()[""]


def test_onto_nothing_the_whole_container_is_in_the_layer(traps: Made) -> None:
    made = make(traps.done, onto=EmptyTree())
    assert {os.fsencode(name) for name in made.members()} == set(traps.done.final)


def test_trap_28_a_base_may_be_as_deep_as_it_likes() -> None:
    deep = b"/".join([b"a"] * 1500)
    tree = TarTree()
    layers = ([Entry(deep, Node(Kind.FIFO, 0o644))], [Entry(b"a", None)])
    for entries in layers:
        tree.apply_layer(io.BytesIO(b"".join(map(header, entries)) + END))
    assert list(tree.names(b"")) == [] and tree.node(deep) is None


@pytest.mark.parametrize("at", ["upper", "lower"])
def test_trap_28_a_tree_deeper_than_the_kernels_paths_is_an_error_and_not_left_to_exports(
    tmp_path: Path, at: str
) -> None:
    """Exports leave such paths out: a layer of one lacked them, and was proved."""
    (tmp_path / "upper").mkdir()
    (tmp_path / "lower").mkdir()
    with deep_tree(tmp_path / at, 25, "d" * 200), pytest.raises(ChangesetError, match="too long to read all") as caught:
        capture = of_overlay(os.fsencode(tmp_path / "upper"), [os.fsencode(tmp_path / "lower")], [])
        changeset(capture, EmptyTree(), Patterns(keep=Rules.of_patterns(["/**"])))
    assert not isinstance(caught.value, UnreadableOverlay) and len(caught.value.message) < 250


def test_trap_28_an_export_that_may_have_left_out_what_is_too_deep_is_an_error(tmp_path: Path) -> None:
    def export(*paths: bytes) -> Callable[[], AbstractContextManager[io.BytesIO]]:
        nodes = (header(Entry(path, Node(Kind.DIRECTORY, 0o755))) for path in paths)
        tar = b"".join(nodes) + END
        return lambda: contextlib.nullcontext(io.BytesIO(tar))

    deep = b"/".join([b"d" * 200] * 19)
    with (tmp_path / "spool").open("w+b") as spool:
        of_exports(export(b"a"), {b"": export(b"a", deep[:3617])}, [], spool, Rules(()))
        of_exports(export(b"a", deep), {b"": export(b"a", deep)}, [], spool, Rules(()))
        with pytest.raises(ChangesetError, match="is 3818 bytes long, too long to read all"):
            of_exports(export(b"a"), {b"": export(b"a", deep)}, [], spool, Rules(()))


def test_a_tree_may_be_deeper_than_pythons_recursion(tmp_path: Path) -> None:
    """A lookup of the deepest path, of which nothing was looked at before."""
    (tmp_path / "upper").mkdir()
    (tmp_path / "lower").mkdir()
    with deep_tree(tmp_path / "upper", 1500) as deep:
        capture = of_overlay(os.fsencode(tmp_path / "upper"), [os.fsencode(tmp_path / "lower")], [])
        assert OverlayTree([os.fsencode(tmp_path / "upper")]).node(deep) is not None
        assert len(changeset(capture, None, Patterns()).changeset.entries) == 1500


def test_trap_12_a_links_content_is_found_under_the_name_that_another_file_took(tmp_path: Path) -> None:
    def member(path: bytes, data: bytes) -> bytes:
        return header(Entry(path, Node(Kind.REGULAR, 0o644, size=len(data)))) + data.ljust(512, b"\0")

    linked = header(Entry(b"b", Node(Kind.REGULAR, 0o644, size=3), link=b"a"))
    layers = [member(b"a", b"old") + linked + END, member(b"a", b"new") + END]
    tree = TarTree()
    for layer in layers:
        tree.apply_layer(io.BytesIO(layer))
    with (tmp_path / "spool").open("w+b") as spool:
        for layer in layers:
            tree.read_contents(io.BytesIO(layer), spool, frozenset((b"a", b"b")))
        for path, data in ((b"a", b"new"), (b"b", b"old")):
            content = tree.content(path)
            assert content is not None
            spool.seek(content.offset)
            assert spool.read(3) == data
