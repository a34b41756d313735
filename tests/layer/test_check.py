"""One layer for each thing that can be wrong with one, written by tarfile; and layers that are right."""

from __future__ import annotations

import io
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest

from assembler.layer.check import Files, Finding, check_layer
from assembler.layer.entry import Entry
from assembler.layer.header import END, header
from assembler.model.node import Kind, Node

D, F, L, S, C = tarfile.DIRTYPE, tarfile.REGTYPE, tarfile.LNKTYPE, tarfile.SYMTYPE, tarfile.CHRTYPE


def entry(name: str, kind: bytes = F, content: bytes = b"", **values: Any) -> tuple[tarfile.TarInfo, bytes]:
    made = tarfile.TarInfo(name)
    made.type, made.size = kind, len(content)
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
    files = Files()
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


@pytest.mark.parametrize(("severity", "what", "data"), [
    ("error", "twice: a", layer(entry("a"), entry("./a"))),
    ("error", "twice: .wh.etc", layer(entry(".wh.etc"), entry(".wh.etc"))),
    ("error", "absolute: /a", layer(entry("/a"))),
    ("error", "out of the rootfs: a/../../b", layer(entry("a/../../b"))),
    ("error", "out of the rootfs: a", layer(entry("a", L, linkname="../b"))),
    ("error", "before its target: b", layer(entry("b", L, linkname="a"), entry("a"))),
    ("error", "not in the layer: b", layer(entry("b", L, linkname="etc/passwd"))),
    ("warning", "a directory stands behind what is in it: d", layer(entry("d/x"), entry("d", D))),
    ("error", "whiteout and an entry of the same path: etc/passwd",
     layer(entry("etc/.wh.passwd"), entry("etc/passwd"))),
    ("error", "whiteout and an entry of the same path: etc", layer(entry(".wh.etc"), entry("etc/new"))),
    ("error", "no layer below has: gone", layer(entry(".wh.gone"))),
    ("error", "names nothing: .wh.", layer(entry(".wh."))),
    ("error", "names nothing: etc/.wh..", layer(entry("etc/.wh.."))),
    ("error", "names nothing: .wh..wh.aufs", layer(entry(".wh..wh.aufs"))),
    ("warning", "opaque whiteout in a directory that no layer below has: new", layer(entry("new/.wh..wh..opq"))),
    ("warning", "whiteout is not an empty file: .wh.etc", layer(entry(".wh.etc", content=b"x"))),
    ("error", "no directory; engines disagree: lib/modules", layer(entry("lib/modules"))),
    ("error", "no directory; engines disagree: f/x", layer(entry("f"), entry("f/x"))),
    ("error", "0:0, which overlayfs takes for a whiteout: c", layer(entry("c", C))),
    ("error", "own attribute trusted.overlay.opaque: d",
     layer(entry("d", D, pax_headers={"SCHILY.xattr.trusted.overlay.opaque": "y"}))),
    ("error", "an owner above 2147483647: f", layer(entry("f", uid=1 << 31))),
    ("warning", "user or group name: f", layer(entry("f", uname="root"))),
    ("warning", "user or group name: f", layer(entry("f", gname="root"))),
    ("warning", "fraction of a second: f", layer(entry("f", mtime=1.5))),
    ("warning", "access or change time: f", layer(entry("f", pax_headers={"atime": "1"}))),
    ("warning", "longer than what it says needs: f", layer(entry("f", pax_headers={"path": "f", "uid": "3"}))),
    ("warning", "longer than what it says needs: f", layer(entry("f", pax_headers={"comment": "x"}))),
    ("error", "behind the end of the archive", layer(entry("f"), end=bytes(1024) + b"x")),
    ("warning", "8704 bytes of padding behind the two end blocks", layer(entry("f"), end=bytes(9728))),
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
    files = Files()
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
