"""The tar reader against two independent writers (CPython's tarfile, GNU tar) and against damage."""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assembler.errors import ImageError
from assembler.layer.read_tar import TarReader, read_tar
from assembler.model.node import Kind, Node

CONTENT = b"some bytes\n" * 100


def members(data: bytes) -> list[tuple[bytes, Kind, bool, int, int, int, int, int, bytes]]:
    return [(m.name, m.kind, m.is_link, m.mode, m.uid, m.gid, m.mtime, m.size, m.linkname)
            for m in read_tar(io.BytesIO(data))]


def write(*infos: tarfile.TarInfo, format: int = tarfile.PAX_FORMAT, data: bytes = b"") -> bytes:
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w", format=format, encoding="utf-8", errors="surrogateescape") as tar:
        for info in infos:
            tar.addfile(info, io.BytesIO(data) if info.isreg() else None)
    return sink.getvalue()


def info(name: bytes, kind: bytes = tarfile.REGTYPE, **values: object) -> tarfile.TarInfo:
    made = tarfile.TarInfo(os.fsdecode(name))
    made.type = kind
    for key, value in values.items():
        setattr(made, key, value)
    return made


@pytest.mark.parametrize("format", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT], ids=["pax", "gnu"])
def test_every_kind_that_tarfile_writes_is_read_back(format: int) -> None:
    data = write(
        info(b"d", tarfile.DIRTYPE, mode=0o1777, uid=3_000_000, gid=5, mtime=1_700_000_000),
        info(b"d/f", size=len(CONTENT), mode=0o4755, uid=7, gid=2_500_000),
        info(b"d/" + b"long" * 80, size=len(CONTENT)),
        info(b"hard", tarfile.LNKTYPE, linkname="d/f"),
        info(b"soft", tarfile.SYMTYPE, linkname="x" * 300),
        info(b"caf\xc3\xa9-\xff\n", size=len(CONTENT), mtime=-5),
        info(b"fifo", tarfile.FIFOTYPE),
        info(b"tty", tarfile.CHRTYPE, devmajor=4, devminor=64),
        info(b"sda", tarfile.BLKTYPE, devmajor=8, devminor=1),
        format=format, data=CONTENT,
    )
    read = {member.path: member.node() for member in read_tar(io.BytesIO(data))}
    size = len(CONTENT)
    assert read == {
        b"d": Node(Kind.DIRECTORY, 0o1777, 3_000_000, 5, 1_700_000_000),
        b"d/f": Node(Kind.REGULAR, 0o4755, 7, 2_500_000, size=size),
        b"d/" + b"long" * 80: Node(Kind.REGULAR, 0o644, size=size),
        b"hard": Node(Kind.REGULAR, 0o644),
        b"soft": Node(Kind.SYMLINK, 0o777, target=b"x" * 300),  # Linux knows no other mode of links
        b"caf\xc3\xa9-\xff\n": Node(Kind.REGULAR, 0o644, mtime=-5, size=size),
        b"fifo": Node(Kind.FIFO, 0o644),
        b"tty": Node(Kind.CHARACTER, 0o644, device=(4, 64)),
        b"sda": Node(Kind.BLOCK, 0o644, device=(8, 1)),
    }


@pytest.mark.parametrize("format", ["v7", "oldgnu", "gnu", "ustar", "posix"])
def test_gnu_tar_and_tarfile_agree_with_us(tmp_path: Path, format: str) -> None:
    tree = tmp_path / "tree"
    (tree / "deep" / "deeper").mkdir(parents=True)
    (tree / "deep" / "deeper" / "file").write_bytes(CONTENT)
    (tree / "empty").write_bytes(b"")
    (tree / "link").symlink_to("deep/deeper/file")
    os.link(tree / "empty", tree / "second")
    if format in ("gnu", "posix"):
        (tree / ("n" * 180)).write_bytes(b"1")
        Path(os.fsdecode(os.fsencode(tree) + b"/latin\xe9")).write_bytes(b"2")
    data = subprocess.run(["tar", f"--format={format}", "--sort=name", "-cC", tree, "."], check=True,
                          capture_output=True).stdout
    with tarfile.open(fileobj=io.BytesIO(data), errors="surrogateescape") as tar:
        expected = {os.path.normpath(os.fsencode(m.name)):
                    (m.mode, m.uid, m.size, os.fsencode(m.linkname), m.mtime // 1) for m in tar}
    read = {m.path or b".": (m.mode, m.uid, m.size, m.linkname, m.mtime) for m in read_tar(io.BytesIO(data))}
    assert read == expected


def test_contents_come_in_pieces_and_unread_ones_are_skipped() -> None:
    big = os.urandom(3_000_001)
    data = write(info(b"a", size=len(big)), info(b"b", size=len(big)), info(b"c", size=len(big)), data=big)
    reader = read_tar(io.BytesIO(data))
    assert b"".join(next(reader).chunks()) == big
    half = next(reader)
    assert big.startswith(next(half.chunks()))
    last = next(reader)
    assert data[last.data_offset : last.data_offset + 9] == big[:9]
    assert b"".join(last.chunks()) == big
    assert list(half.chunks()) == []


def test_a_pipe_is_read_like_a_file() -> None:
    data = write(info(b"a", size=len(CONTENT)), info(b"b", size=len(CONTENT)), data=CONTENT)

    class OneByteAtATime:
        def __init__(self) -> None:
            self.stream = io.BytesIO(data)

        def read(self, size: int, /) -> bytes:
            return self.stream.read(min(size, 1))

    assert [m.name for m in read_tar(OneByteAtATime())] == [b"a", b"b"]


def test_xattrs_come_from_pax_records_with_every_byte() -> None:
    value = "\x01\0\0\x02\n=\udcff"
    data = write(info(b"f", pax_headers={"SCHILY.xattr.security.capability": value, "SCHILY.xattr.user.a": "1"}))
    (member,) = read_tar(io.BytesIO(data))
    assert member.xattrs == ((b"security.capability", b"\x01\0\0\x02\n=\xff"), (b"user.a", b"1"))


def test_global_records_hold_until_a_members_own() -> None:
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w", pax_headers={"uid": "77", "comment": "x"}) as tar:
        tar.addfile(info(b"one", pax_headers={"uid": "5"}))
        tar.addfile(info(b"two"))
    assert [(m.name, m.uid) for m in read_tar(io.BytesIO(sink.getvalue()))] == [(b"one", 5), (b"two", 77)]


@pytest.mark.parametrize(("written", "floored"), [(1.75, 1), (-0.5, -1), (-2.0, -2), (17e8 + 0.999, 1_700_000_000)])
def test_trap_21_mtimes_are_floored(written: float, floored: int) -> None:
    (member,) = read_tar(io.BytesIO(write(info(b"f", mtime=written))))
    assert member.mtime == floored


def test_a_file_of_more_than_8_GiB_has_its_size_in_base_256_or_pax() -> None:
    size = 9 << 30
    for format in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        header = info(b"big", size=size).tobuf(format=format)
        reader = read_tar(io.BytesIO(header + bytes(512)))
        assert next(reader).size == size


@pytest.mark.parametrize(("name", "path"), [
    (b"./a", b"a"), (b"./", b""), (b"a//b/", b"a/b"), (b"/etc/x", b"etc/x"), (b"a/./b", b"a/b"),
    (b".hidden/.x", b".hidden/.x"), (b"a..b/..c", b"a..b/..c"),
])
def test_names_become_relative_paths(name: bytes, path: bytes) -> None:
    data = write(info(b"x")).replace(b"x" + bytes(99), name.ljust(100, b"\0"), 1)
    (member,) = read_tar(io.BytesIO(resum(data)))
    assert (member.name, member.path) == (name, path)


def resum(data: bytes, at: int = 0) -> bytes:
    """The same archive with the checksum of the header at ``at`` made right again."""
    header = data[at : at + 148] + b" " * 8 + data[at + 156 : at + 512]
    return data[: at + 148] + b"%06o\0 " % sum(header) + data[at + 156 :]


def test_a_name_that_leads_out_of_the_rootfs_has_no_path() -> None:
    (member,) = read_tar(io.BytesIO(write(info(b"a/../../etc/passwd"))))
    with pytest.raises(ImageError, match="leads out"):
        _ = member.path


@pytest.mark.parametrize("header", [
    info(b"sparse", b"S"), info(b"f", pax_headers={"GNU.sparse.major": "1", "GNU.sparse.minor": "0"}),
], ids=["old gnu", "pax"])
def test_trap_17_sparse_members_are_refused(header: tarfile.TarInfo) -> None:
    with pytest.raises(ImageError, match="sparse"):
        members(write(header))


def pax(records: bytes, kind: bytes = b"x") -> bytes:
    header = info(b"PaxHeader", kind, size=len(records)).tobuf(format=tarfile.USTAR_FORMAT)
    return header + records + bytes(-len(records) % 512) + info(b"f").tobuf(format=tarfile.USTAR_FORMAT) + bytes(1024)


@pytest.mark.parametrize("records", [
    b"path=x\n", b"9 path=x\n\n", b"99 path=x\n", b"8 path=x\n", b"5 =x\n", b"6 ppp\n", b"0 a=b\n",
    b"-9 path=x\n", b"9" * 5000 + b" a=b\n", b"9 size=x\n", b"10 size=-1\n", b"11 mtime=.x\n", b"9 uid=-1\n",
    b"10 path=a\0\n", b"\xb2 path=x\n", b"31 size=99999999999999999999999\n",
])
def test_malformed_pax_records_are_errors(records: bytes) -> None:
    with pytest.raises(ImageError):
        members(pax(records))


def test_two_extended_headers_for_one_member_are_refused() -> None:
    record = pax(b"9 path=x\n")[:1024]
    with pytest.raises(ImageError, match="twice"):
        members(record + pax(b"9 path=y\n"))


def test_an_extended_header_is_capped() -> None:
    header = info(b"x", b"x", size=1 << 30).tobuf(format=tarfile.USTAR_FORMAT)
    with pytest.raises(ImageError, match="too long"):
        members(header)
    many = pax(b"524288 k=" + b"v" * 524278 + b"\n", b"g")[:-1536]
    with pytest.raises(ImageError, match="global headers are too long"):
        members(many * 3)


@pytest.mark.parametrize("kept", [1, 100, 511, 513, 1000, 1536, 2000])
def test_an_archive_that_was_cut_off_is_an_error(kept: int) -> None:
    data = write(info(b"a", size=len(CONTENT)), info(b"b", size=len(CONTENT)), data=CONTENT)
    with pytest.raises(ImageError):
        members(data[:kept])


def test_a_wrong_checksum_is_an_error() -> None:
    data = bytearray(write(info(b"a")))
    data[0] ^= 1
    with pytest.raises(ImageError, match="checksum"):
        members(bytes(data))


@pytest.mark.parametrize(("end", "blocks", "trailing", "hidden"), [
    (b"", 0, 0, False), (bytes(512), 1, 0, False), (bytes(1024), 2, 0, False), (bytes(10240), 2, 9216, False),
    (bytes(512) + b"x" * 512, 1, 512, True), (bytes(1024) + b"x", 2, 1, True),
    (bytes(1024) + b"x" + bytes(3 << 20), 2, (3 << 20) + 1, True), (bytes(512) + b"x" * 512 + bytes(3 << 20), 1,
                                                                    512 + (3 << 20), True),
])
def test_trap_26_the_end_is_read_and_told(end: bytes, blocks: int, trailing: int, hidden: bool) -> None:
    stream = io.BytesIO(info(b"a").tobuf(format=tarfile.USTAR_FORMAT) + end)
    reader = TarReader(stream)
    assert [m.name for m in reader] == [b"a"]
    assert (reader.end_blocks, reader.trailing, reader.hidden) == (blocks, trailing, hidden)
    assert stream.read() == b""


@given(st.binary(min_size=1, max_size=512).filter(lambda data: data.strip(b"\0")))
@settings(deadline=None)
def test_fuzz_noise_is_an_error(noise: bytes) -> None:
    with pytest.raises(ImageError):
        members(noise.ljust(512, b"\0") + bytes(1024))


SEED = write(
    info(b"d", tarfile.DIRTYPE), info(b"d/" + b"n" * 200, size=len(CONTENT), pax_headers={"SCHILY.xattr.user.a": "1"}),
    info(b"l", tarfile.LNKTYPE, linkname="d"), data=CONTENT,
)


@given(st.lists(st.tuples(st.integers(0, len(SEED) - 1), st.binary(min_size=1, max_size=12)), min_size=1, max_size=4),
       st.booleans())
@settings(deadline=None)
def test_fuzz_damage_is_read_or_refused_but_never_breaks(edits: list[tuple[int, bytes]], right_sum: bool) -> None:
    data = bytearray(SEED)
    for at, replacement in edits:
        data[at : at + len(replacement)] = replacement
    for at in range(0, len(data) - 511, 512) if right_sum else ():
        data = bytearray(resum(bytes(data), at)) if data[at + 257 : at + 262] == b"ustar" else data
    try:
        for member in read_tar(io.BytesIO(bytes(data))):
            member.node()
            sum(len(chunk) for chunk in member.chunks())
            _ = member.path, member.link
    except ImageError as error:
        assert error.hint
