"""Two layers side by side: every field of a header, entries that only one has, and the first byte that differs."""

from __future__ import annotations

import io
import tarfile
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from assembler.layer.compare_layers import Difference, compare_layers

if TYPE_CHECKING:
    from collections.abc import Iterator


def layer(content: bytes = b"text", name: str = "file", **fields: Any) -> bytes:
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w", format=tarfile.PAX_FORMAT) as tar:
        member = tarfile.TarInfo(name)
        member.size = len(content)
        for key, value in fields.items():
            setattr(member, key, value)
        tar.addfile(member, io.BytesIO(content))
    return sink.getvalue()


@contextmanager
def opened(data: bytes) -> Iterator[io.BytesIO]:
    yield io.BytesIO(data)


def compared(former: bytes, now: bytes, most: int = 10) -> list[Difference]:
    return compare_layers(partial(opened, former), partial(opened, now), most)


@pytest.mark.parametrize(("fields", "field", "was", "is_"), [
    ({"mode": 0o600}, "mode", "0644", "0600"),
    ({"mtime": 5}, "mtime", "0", "5"),
    ({"uid": 7}, "owner", "0:0", "7:0"),
    ({"gid": 7}, "owner", "0:0", "0:7"),
    ({"pax_headers": {"SCHILY.xattr.user.a": "b"}}, "attributes", "", "user.a=62"),
])  # fmt: skip
def test_a_field_of_a_header(fields: dict[str, Any], field: str, was: str, is_: str) -> None:
    assert compared(layer(), layer(**fields)) == [Difference(b"file", field, was, is_)]


def test_what_only_one_has() -> None:
    assert compared(layer(name="a"), layer(name="b")) == [
        Difference(b"a", "entry", "was there", None), Difference(b"b", "entry", None, "is there"),
    ]  # fmt: skip


@given(some.binary(max_size=50), some.binary(max_size=50))
def test_the_first_byte_that_differs(former: bytes, now: bytes) -> None:
    found = compared(layer(former), layer(now))
    assert (found == []) == (former == now)
    for one in found:
        assert one.bytes is not None
        same = one.bytes.offset
        assert former[:same] == now[:same] and former[same : same + 1] != now[same : same + 1]


def test_no_more_than_so_many_contents_are_looked_into() -> None:
    (one,) = compared(layer(b"a"), layer(b"b"), most=0)
    assert (one.field, one.bytes) == ("content", None)
