"""Headers as other readers understand them, and no PAX record that ustar could have done without."""

from __future__ import annotations

import io
import os
import tarfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assembler.errors import ImageError
from assembler.layer.entry import Entry
from assembler.layer.tar_header import END, header
from assembler.model.node import Kind, Node

_part = st.one_of(
    st.binary(min_size=1, max_size=12), st.integers(90, 160).map(lambda size: b"n" * size), st.just(b"\xc3\xa4" * 60)
).map(lambda part: part.replace(b"\0", b"0").replace(b"/", b"|"))
_path = (
    st.lists(_part.filter(lambda part: part not in (b".", b"..") and not part.startswith(b".wh.")), min_size=1,
             max_size=4)
    .map(b"/".join)
)  # fmt: skip
_edge = st.sampled_from((0, 1, 0o7777777, 0o7777777 + 1, 2**31, 2**32 - 2))
_time = st.sampled_from((0, 1, -1, -(2**40), 2**31, 0o77777777777, 0o77777777777 + 1))
_kind = st.sampled_from([kind for kind in Kind if kind is not Kind.SOCKET])
_xattrs = st.dictionaries(
    st.sampled_from((b"user.a", b"user.\xc3\xa4", b"security.capability")), st.binary(min_size=1, max_size=300)
).map(lambda found: tuple(sorted(found.items())))


@st.composite
def entries(draw: st.DrawFn) -> Entry:
    kind = draw(_kind)
    node = Node(
        kind, draw(st.integers(0, 0o7777)), draw(_edge), draw(_edge), draw(_time),
        target=draw(_path) if kind is Kind.SYMLINK else b"",
        device=(draw(st.integers(0, 4095)), draw(st.integers(0, 2**20 - 1)))
        if kind in (Kind.CHARACTER, Kind.BLOCK) else (0, 0),
        xattrs=draw(_xattrs),
    )  # fmt: skip
    is_link = kind is not Kind.DIRECTORY and draw(st.booleans())
    return Entry(draw(_path), node, link=draw(_path) if is_link else None)


def read(data: bytes) -> tarfile.TarInfo:
    with tarfile.open(fileobj=io.BytesIO(data + END), encoding="utf-8", errors="surrogateescape") as tar:
        (member,) = tar.getmembers()
    return member


@settings(max_examples=1500, deadline=None)
@given(entries())
def test_tarfile_reads_what_was_written(entry: Entry) -> None:
    member, node = read(header(entry)), entry.node
    assert node is not None
    assert os.fsencode(member.name) == entry.path
    assert (member.mode, member.uid, member.gid, member.mtime) == (node.mode, node.uid, node.gid, node.mtime)
    assert os.fsencode(member.linkname) == (entry.link if entry.link is not None else node.target)
    assert member.size == 0
    found = {os.fsencode(key.removeprefix("SCHILY.xattr.")): os.fsencode(value)
             for key, value in member.pax_headers.items() if key.startswith("SCHILY.xattr.")}
    assert found == carried(entry)
    if entry.link is None:
        assert (member.devmajor, member.devminor) == node.device


@settings(max_examples=1500, deadline=None)
@given(entries())
def test_a_pax_header_is_there_only_if_ustar_can_not_hold_the_entry(entry: Entry) -> None:
    assert entry.node is not None
    data = header(entry)
    member = read(data)
    if member.isdir():
        # tarfile gives a directory a slash, and where that is too much a prefix with an empty name behind it
        member.type = tarfile.REGTYPE
    assert (len(data) == 512) == (fits_ustar(member) and not carried(entry))


def carried(entry: Entry) -> dict[bytes, bytes]:
    """A hard link says again what Docker and containerd clear by its chown, and nothing else."""
    assert entry.node is not None
    return {name: value for name, value in entry.node.xattrs if entry.link is None or name == b"security.capability"}


def fits_ustar(member: tarfile.TarInfo) -> bool:
    try:
        member.tobuf(tarfile.USTAR_FORMAT, "utf-8", "surrogateescape")
    except ValueError:
        return False
    return True


def test_records_are_only_those_that_are_needed() -> None:
    entry = Entry(b"a" * 150, Node(Kind.SYMLINK, 0o777, uid=2**22, gid=5, mtime=-1, target=b"t"))
    assert set(read(header(entry)).pax_headers) == {"path", "uid", "mtime"}
    assert set(read(header(Entry(b"\xff" * 150, Node(Kind.FIFO, 0)))).pax_headers) == {"path", "hdrcharset"}


def test_a_whiteout_is_an_empty_file_without_owner_or_time() -> None:
    member = read(header(Entry(b"a/b", None)))
    assert (member.name, member.isreg(), member.size) == ("a/.wh.b", True, 0)
    assert (member.mode, member.uid, member.gid, member.mtime) == (0, 0, 0, 0)
    assert read(header(Entry(b"b", None))).name == ".wh.b"


@pytest.mark.parametrize("pair", [(b"user.a=b", b"1"), (b"user.a", b"")])
def test_an_attribute_that_pax_can_not_hold_is_an_error(pair: tuple[bytes, bytes]) -> None:
    with pytest.raises(ImageError, match="can't store the extended attribute"):
        header(Entry(b"a", Node(Kind.REGULAR, 0, xattrs=(pair,))))


def test_names_that_fill_the_fields() -> None:
    for name in (b"n" * 100, b"p" * 155 + b"/" + b"n" * 100, b"d/" * 77 + b"n" * 100):
        assert (len(header(Entry(name, Node(Kind.REGULAR, 0)))), os.fsencode(read(header(
            Entry(name, Node(Kind.REGULAR, 0)))).name)) == (512, name)  # fmt: skip
    for name in (b"n" * 101, b"p" * 156 + b"/n", b"p/" + b"n" * 101, b"p" * 155 + b"/" + b"n" * 101):
        assert len(header(Entry(name, Node(Kind.REGULAR, 0)))) == 1536
