"""One layer for each thing that can be wrong with one, written by tarfile; and layers that are right."""

from __future__ import annotations

import io
import subprocess
import tarfile
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assembler.layer.check_layer import check_layer
from assembler.layer.entry import Entry
from assembler.layer.findings import Finding
from assembler.layer.path_tree import PathTree
from assembler.layer.tar_header import END, header
from assembler.model.node import Kind, Node

D, F, L, S, C = tarfile.DIRTYPE, tarfile.REGTYPE, tarfile.LNKTYPE, tarfile.SYMTYPE, tarfile.CHRTYPE


def entry(name: str, kind: bytes = F, content: bytes = b"", **values: Any) -> tuple[tarfile.TarInfo, bytes]:
    made = tarfile.TarInfo(name)
    made.type, made.size = kind, len(content)
    if name.rpartition("/")[2].startswith(".wh."):
        made.mode = 0
    for key, value in values.items():
        setattr(made, key, value)
    return made, content


def layer(*entries: tuple[tarfile.TarInfo, bytes], end: bytes = bytes(1024)) -> bytes:
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for info, content in entries:
            tar.addfile(info, io.BytesIO(content))
        return sink.getvalue() + end


def check(data: bytes, below: bytes | None = None) -> list[tuple[str, str]]:
    files = PathTree()
    if below is not None:
        assert check_layer(io.BytesIO(below), files, "below") == []
    return [(finding.severity, finding.what) for finding in check_layer(io.BytesIO(data), files, "layer")]


LOWER = layer(entry("etc", D), entry("etc/passwd"), entry("lib", S, linkname="usr/lib"), entry("usr/lib", D))


def test_a_right_layer_has_no_findings() -> None:
    assert check(layer(
        entry("etc", D), entry("etc/.wh.passwd"), entry("etc/new", content=b"x"), entry("same", L, linkname="etc/new"),
        entry("caf\udce9", pax_headers={"SCHILY.xattr.user.a": "1"}), entry("n" * 300), entry(".wh.lib"),
        entry("usr/lib/.wh..wh..opq"),
    ), LOWER) == []


CAPABLE = {"SCHILY.xattr.security.capability": "\x01\0\0\x02\0\x04\0\0" + "\0" * 12}


@pytest.mark.parametrize(("severity", "what", "data"), [
    ("error", "twice: a", layer(entry("a"), entry("./a"))),
    ("error", "twice: .wh.etc", layer(entry(".wh.etc"), entry(".wh.etc"))),
    ("error", "absolute: /a", layer(entry("/a"))),
    ("error", "out of the rootfs: a/../../b", layer(entry("a/../../b"))),
    ("error", "out of the rootfs: a", layer(entry("a", L, linkname="../b"))),
    ("error", "before its target: b", layer(entry("b", L, linkname="a"), entry("a"))),
    ("error", "not in the layer: b", layer(entry("b", L, linkname="etc/passwd"))),
    ("warning", "a directory comes after what is in it: d", layer(entry("d/x"), entry("d", D))),
    ("error", "whiteout and an entry of the same path: etc/passwd",
     layer(entry("etc/.wh.passwd"), entry("etc/passwd"))),
    ("error", "whiteout and an entry of the same path: etc", layer(entry(".wh.etc"), entry("etc/new"))),
    ("error", "no layer below has: gone", layer(entry(".wh.gone"))),
    ("error", "a hard link to a directory: l", layer(entry("d", D), entry("l", L, linkname="d"))),
    ("error", "a hard link to a directory: l", layer(entry("l", L, linkname="./"))),
    ("error", "the root is not a directory: ./", layer(entry("./", S, linkname="usr"))),
    ("error", "twice: etc", layer(entry("etc/.wh..wh..opq"), entry("etc/.wh..wh..opq"))),
    ("error", "not a directory; engines disagree: n", layer(entry("n/x"), entry("n"))),
    ("error", "not a directory; engines disagree: n", layer(entry("n", D), entry("n/x"), entry("n", S, linkname="m"))),
    ("error", "opaque: engines show a ghost name: etc/passwd",
     layer(entry("etc/.wh..wh..opq"), entry("etc/.wh.passwd"))),
    ("error", "opaque: engines show a ghost name: usr/lib",
     layer(entry("usr/.wh.lib"), entry(".wh..wh..opq"))),
    ("error", "a directory has the name of a whiteout: .wh.q/x", layer(entry(".wh.q/x"))),
    ("error", "a directory has the name of a whiteout: a/.wh.q/b/x", layer(entry("a/.wh.q/b/x"))),
    ("warning", "a whiteout carries a mode, an owner or a time: .wh.etc", layer(entry(".wh.etc", mode=0o600))),
    ("warning", "a whiteout carries a mode, an owner or a time: .wh.etc", layer(entry(".wh.etc", uid=1))),
    ("warning", "a whiteout carries a mode, an owner or a time: .wh.etc", layer(entry(".wh.etc", mtime=1))),
    ("warning", "carries security.selinux, which only its host understands: f",
     layer(entry("f", pax_headers={"SCHILY.xattr.security.selinux": "u:r:t:s0"}))),
    ("error", "names nothing: .wh.", layer(entry(".wh."))),
    ("error", "names nothing: etc/.wh..", layer(entry("etc/.wh.."))),
    ("error", "names nothing: .wh..wh.aufs", layer(entry(".wh..wh.aufs"))),
    ("warning", "opaque whiteout in a directory that no layer below has: new", layer(entry("new/.wh..wh..opq"))),
    ("warning", "whiteout is not an empty file: .wh.etc", layer(entry(".wh.etc", content=b"x"))),
    ("error", "not a directory; engines disagree: lib/modules", layer(entry("lib/modules"))),
    ("error", "not a directory; engines disagree: f/x", layer(entry("f"), entry("f/x"))),
    ("error", "0:0, which overlayfs takes for a whiteout: c", layer(entry("c", C))),
    ("error", "own attribute trusted.overlay.opaque: d",
     layer(entry("d", D, pax_headers={"SCHILY.xattr.trusted.overlay.opaque": "y"}))),
    ("error", "an owner above 4294967294, the largest that Linux has: f", layer(entry("f", uid=(1 << 32) - 1))),
    ("error", "does not repeat its file's capabilities; engines disagree which it has: l",
     layer(entry("f", pax_headers=CAPABLE), entry("l", L, linkname="f"))),
    ("error", "does not repeat its file's capabilities; engines disagree which it has: m",
     layer(entry("f", pax_headers=CAPABLE), entry("l", L, linkname="f", pax_headers=CAPABLE),
           entry("m", L, linkname="l"))),
    ("error", "has others than its file's capabilities; engines disagree which it has: l",
     layer(entry("f"), entry("l", L, linkname="f", pax_headers=CAPABLE))),
    ("warning", "user or group name: f", layer(entry("f", uname="root"))),
    ("warning", "user or group name: f", layer(entry("f", gname="root"))),
    ("warning", "fraction of a second: f", layer(entry("f", mtime=1.5))),
    ("warning", "access or change time: f", layer(entry("f", pax_headers={"atime": "1"}))),
    ("warning", "longer than what it says needs: f", layer(entry("f", pax_headers={"path": "f", "uid": "3"}))),
    ("warning", "longer than what it says needs: f", layer(entry("f", pax_headers={"comment": "x"}))),
    ("error", "after the end of the archive", layer(entry("f"), end=bytes(1024) + b"x")),
    ("error", "after the end of the archive", layer(entry("f"), end=bytes(1024) + b"x" + bytes(3 << 20))),
    ("warning", "8704 bytes of padding after the two end blocks", layer(entry("f"), end=bytes(9728))),
    ("warning", "1 end blocks instead of two", layer(entry("f"), end=bytes(512))),
    ("warning", "0 end blocks instead of two", layer(entry("f"), end=b"")),
    ("error", "cut off", layer(entry("f", content=b"x" * 2000), end=b"")[:1500]),
])
def test_what_is_wrong_is_said(severity: str, what: str, data: bytes) -> None:
    found = check(data, LOWER)
    assert len([1 for level, text in found if what in text and level == severity]) == 1, found


def test_trap_12_a_hard_link_with_a_size() -> None:
    right = layer(entry("a"), entry("b", L, linkname="a"))
    info, _ = entry("b", L, linkname="a")
    header_block = bytearray(info.tobuf(format=tarfile.USTAR_FORMAT))
    header_block[124:136] = b"00000000005\0"
    header_block[148:156] = b" " * 8
    header_block[148:156] = b"%06o\0 " % sum(header_block)
    assert check(right[:512] + bytes(header_block) + right[1024:]) == [("error", "a hard link has a size: b")]


def test_trap_15_a_hard_link_that_repeats_its_files_capabilities_is_right() -> None:
    attributes = CAPABLE | {"SCHILY.xattr.user.a": "1"}
    linked = entry("l", L, linkname="f", pax_headers=CAPABLE)
    assert check(layer(entry("f", pax_headers=attributes), linked), LOWER) == []


def test_an_attribute_without_a_value() -> None:
    record = b"23 SCHILY.xattr.user.a=\n"
    record = b"%d SCHILY.xattr.user.a=\n" % len(record)
    extension = tarfile.TarInfo("x")
    extension.type, extension.size = b"x", len(record)
    data = extension.tobuf(format=tarfile.USTAR_FORMAT) + record + bytes(512 - len(record)) + layer(entry("f"))
    assert [what for _, what in check(data)] == [
        "an extended attribute without a value, which PAX can't store: f"]


def test_all_that_is_wrong_is_listed_and_counted() -> None:
    found = check(layer(*(entry(f"f{n}", uname="root") for n in range(10)), entry(".wh.x"), entry("/abs")))
    assert found == [
        ("warning", "an entry carries a user or group name: f0, f1, f2 and 7 more"),
        ("error", "a path is absolute: /abs"),
        ("error", "a whiteout of a path that no layer below has: x"),
    ]


def test_a_whiteout_of_a_directory_takes_everything_below_it() -> None:
    files = PathTree()
    for data in (layer(entry("a/b/c/d"), entry("a/x")), layer(entry(".wh.a"), entry("new"))):
        assert check_layer(io.BytesIO(data), files, "") == []
    assert b"new" in files and not [path for path in (b"a", b"a/b", b"a/b/c", b"a/b/c/d", b"a/x") if path in files]
    again = check_layer(io.BytesIO(layer(entry("a/.wh.b"))), files, "")
    assert again == [Finding("error", "", "a whiteout of a path that no layer below has: a/b")]


def test_our_own_writer_gives_no_reason_to_complain() -> None:
    nodes = [
        Entry(b"d", Node(Kind.DIRECTORY, 0o1777, mtime=1)), Entry(b"d/" + b"n" * 200, Node(Kind.REGULAR, 0o4755)),
        Entry(b"big-ids", Node(Kind.REGULAR, 0o644, uid=3_000_000, gid=2_147_483_647)),
        Entry(b"old", Node(Kind.REGULAR, 0o644, mtime=-1)), Entry(b"d/link", Node(Kind.REGULAR, 0o644), link=b"old"),
        Entry(b"latin\xe9" * 30, Node(Kind.SYMLINK, 0o777, target=b"\xff" * 200)),
        Entry(b"tty", Node(Kind.CHARACTER, 0o600, device=(4, 64))), Entry(b"fifo", Node(Kind.FIFO, 0o600)),
        Entry(b"capable", Node(Kind.REGULAR, 0o755, xattrs=((b"security.capability", b"\1\0\0\2" + bytes(16)),))),
    ]
    assert check(b"".join(header(one) for one in nodes) + END) == []


def test_gnu_tar_writes_only_waste(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "f").write_bytes(b"x")
    data = subprocess.run(["tar", "--format=posix", "-cC", tmp_path, "."], check=True, capture_output=True).stdout
    found = check(data)
    assert {severity for severity, _ in found} == {"warning"}
    for what in ("user or group name", "fraction of a second", "access or change time", "bytes of padding"):
        assert len([text for _, text in found if what in text]) == 1, found


def test_the_rest_of_what_may_stand_behind_a_directory_is_right() -> None:
    """A hard link to a file, a directory that the layer puts in a symlink's place, an opaque one with new files."""
    assert check(layer(
        entry("etc/.wh..wh..opq"), entry("etc/new"), entry("lib", D), entry("lib/x"), entry("./", D),
        entry("y", L, linkname="./lib/x"), entry("a.wh.b/c"),
    ), LOWER) == []


def spoilt(data: bytes, at: int, new: bytes) -> bytes:
    """``data`` with other bytes at ``at``, the checksum of the header around them made right."""
    changed = bytearray(data)
    changed[at : at + len(new)] = new
    start = at - at % 512
    if changed[start + 257 : start + 262] == b"ustar":
        changed[start + 148 : start + 156] = b" " * 8
        changed[start + 148 : start + 156] = b"%06o\0 " % sum(changed[start : start + 512])
    return bytes(changed)


LONG = layer(entry("n" * 200), entry("f", content=b"x"))


@pytest.mark.parametrize(("data", "at", "name"), [
    pytest.param(layer(entry("f", content=b"x")), 512 + 1, ": f", id="behind a file"),
    pytest.param(layer(entry("f", content=b"x")), 1023, ": f", id="behind a file, the last byte"),
    pytest.param(LONG, 1023, "", id="behind PAX records"),
    pytest.param(LONG, 511, "", id="in a PAX header"),
    pytest.param(layer(entry("f")), 50, ": f", id="behind the name"),
    pytest.param(layer(entry("f")), 160, ": f", id="a link's target without a link"),
    pytest.param(layer(entry("s", S, linkname="f")), 250, ": s", id="behind a link's target"),
    pytest.param(layer(entry("f")), 290, ": f", id="behind the user"),
    pytest.param(layer(entry("f")), 320, ": f", id="behind the group"),
    pytest.param(layer(entry("f")), 400, ": f", id="behind the prefix"),
    pytest.param(layer(entry("f")), 511, ": f", id="in the header's last bytes"),
])
def test_bytes_hidden_in_padding(data: bytes, at: int, name: str) -> None:
    assert check(data) == []
    assert check(spoilt(data, at, b"!")) == [("error", f"bytes hidden in padding{name}")]


def test_every_format_of_gnu_tar_hides_nothing(tmp_path: Path) -> None:
    (tmp_path / ("n" * 60)).mkdir()
    (tmp_path / ("n" * 60) / ("m" * 20)).write_bytes(b"x")
    (tmp_path / "link").symlink_to("n" * 60)
    for form in ("v7", "oldgnu", "gnu", "ustar", "posix"):
        command = ["tar", f"--format={form}", "--sort=name", "--mtime=@0", "-cC", tmp_path, "."]
        data = subprocess.run(command, check=True, capture_output=True).stdout
        found = check(data)
        assert found and {severity for severity, _ in found} == {"warning"}, (form, found)


def raw(name: str, kind: bytes, size: int = 0, **values: Any) -> bytes:
    made, _ = entry(name, kind, **values)
    made.size = size
    return made.tobuf(format=tarfile.USTAR_FORMAT)


def pax(records: bytes) -> bytes:
    return raw("x", b"x", len(records)) + records + bytes(-len(records) % 512)


TAIL = layer(entry("usr/.wh.none"), entry("f", uname="root"))
LAST = [("error", "a whiteout of a path that no layer below has: usr/none")]


@pytest.mark.parametrize(("what", "data"), [
    ("of the unknown type b'Z'", raw("z", b"Z", 600) + b"d" * 600 + bytes(424)),
    ("a PAX record is malformed", pax(b"9 path=x!") + raw("x", F, 3) + b"abc" + bytes(509)),
    ("a PAX record has no length", pax(b"12 path=abc\nnonsense") + raw("x", F)),
    ("is not a value for uid", pax(b"9 uid=no\n") + raw("x", F)),
    ("the same extended header twice", pax(b"9 path=a\n") + pax(b"9 path=b\n") + raw("x", F)),
    ("an extended header of 1048577 bytes is too long", raw("x", b"x", 1048577) + bytes(1049088) + raw("x", F)),
    ("is not an octal number", spoilt(raw("x", F), 100, b"8888888")),
    ("has no name", raw("", F)),
])
def test_a_malformed_header_is_not_the_end(what: str, data: bytes) -> None:
    """What stands behind it is checked as though nothing had been."""
    found = check(data + TAIL)
    assert [text for level, text in found if what in text and level == "error"], found
    assert ("warning", "an entry carries a user or group name: f") in found
    assert [one for one in found if one[0] == "error" and what not in one[1]] == LAST


@pytest.mark.parametrize("form", ["oldgnu", "gnu", "posix --sparse-version=0.0", "posix --sparse-version=0.1",
                                  "posix --sparse-version=1.0"])
def test_behind_a_sparse_file_reading_goes_on(tmp_path: Path, form: str) -> None:
    with (tmp_path / "holes").open("wb") as file:
        for number in range(30):  # more pieces than a header, or one more block, can tell of
            file.seek(number << 20)
            file.write(b"data")
    (tmp_path / "then").write_bytes(b"x")
    command = ["tar", *f"--format={form}".split(), "--sparse", "--sort=name", "-cC", tmp_path, "holes", "then"]
    whole = subprocess.run(command, check=True, capture_output=True).stdout
    found = check(whole[: len(whole.rstrip(b"\0")) + 511 & -512] + TAIL)
    assert [text for level, text in found if level == "error"] == [
        "The tar archive holds a sparse file, which image layers should not (image-spec layer.md): holes",
        *(text for _, text in LAST),
    ]
    assert any("user or group name: " in text and text.endswith("then, f") for _, text in found)


def test_where_a_header_is_lost_the_rest_is() -> None:
    data = bytearray(layer(entry("a", uname="root"), entry("b", L, linkname="c"), entry("c")))
    data[1024] ^= 1
    assert check(bytes(data)) == [
        ("warning", "an entry carries a user or group name: a"),
        ("error", "The tar archive is damaged: a header's checksum is wrong; the rest was not read"),
    ]


def test_what_rests_on_a_layer_that_was_cut_off_is_not_called_wrong() -> None:
    files = PathTree()
    cut = layer(entry("a", S, linkname="x"), entry("b", content=b"x" * 2000))[:1500]
    assert [finding.severity for finding in check_layer(io.BytesIO(cut), files, "")] == ["error"]
    assert check_layer(io.BytesIO(layer(entry(".wh.c"), entry("a/b"), entry("d/.wh..wh..opq"))), files, "") == []


def test_names_can_not_steer_a_terminal() -> None:
    name = "a\x1b[31m\nerror: x"
    (one, two) = check_layer(io.BytesIO(layer(entry(name, uname="root"), entry(f"SCHILY{name}", L, linkname="n"))),
                             PathTree(), "")
    assert one.what == "an entry carries a user or group name: a\\x1b[31m\\nerror: x"
    assert one.paths == ("a\\x1b[31m\\nerror: x",)
    assert two.what.isprintable()


def test_examples_come_with_their_count() -> None:
    (finding,) = check_layer(io.BytesIO(layer(*(entry(f"f{n}", uname="root") for n in range(10)))), PathTree(), "")
    assert (finding.count, finding.paths) == (10, ("f0", "f1", "f2"))


def test_deep_paths_take_little_memory() -> None:
    """Sixty members whose PAX paths have 2,000 names each; they took 500 MiB when every prefix was kept as a path."""
    deep = layer(*(entry(f"{number}/" + "d/" * 1999 + "f") for number in range(60)))
    tracemalloc.start()
    files = PathTree()
    assert check_layer(io.BytesIO(deep), files, "") == []
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert b"59/" + b"d/" * 1999 + b"f" in files and peak < 64 << 20


def test_each_name_counts_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A million files are a million names: not two for each, nor those of their directories again."""
    monkeypatch.setattr("assembler.layer.path_tree._MOST_NAMES", 50)
    directory = entry("directory", D)
    assert check(layer(directory, *(entry(f"directory/f{number}") for number in range(49)))) == []
    links = (entry(f"l{number}", L, linkname="f") for number in range(49))
    assert check(layer(entry("f"), *links)) == []


def test_more_names_than_fit_into_memory_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("assembler.layer.path_tree._MOST_NAMES", 50)
    found = check(layer(*(entry(f"f{number}") for number in range(60))))
    assert [text for _, text in found] == [
        "the image has more than 50 names, or names of more than 268435456 bytes; the rest was not read"]


SEED = layer(
    entry("d", D), entry("d/" + "n" * 200, content=b"x" * 700, pax_headers={"SCHILY.xattr.user.a": "1"}),
    entry("l", L, linkname="d"), entry("d/.wh.gone"), entry("d/.wh..wh..opq"), entry("s", S, linkname="d"),
)


@given(st.lists(st.tuples(st.integers(0, len(SEED) - 1), st.binary(min_size=1, max_size=12)), min_size=1, max_size=4))
@settings(deadline=None)
def test_fuzz_whatever_is_in_a_tar_is_a_finding(edits: list[tuple[int, bytes]]) -> None:
    data = SEED
    for at, replacement in edits:
        data = spoilt(data, at, replacement[: 512 - at % 512])[: len(SEED)]
    for finding in check_layer(io.BytesIO(data), PathTree(), "layer"):
        assert finding.what.isprintable()
