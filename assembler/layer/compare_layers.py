"""Two layers that should be the same, entry by entry: which differ, in what, and at which byte."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Final

from assembler.layer.read_tar import read_tar

if TYPE_CHECKING:
    from collections.abc import Iterator

    from assembler.layer.read_tar import Member, Readable

Open = Callable[[], AbstractContextManager["Readable"]]
"""A layer as a tar, from its beginning."""

_AROUND: Final = 32
"""Bytes shown before and after the first one that differs."""

_CAP: Final = 16 << 20


@dataclass(frozen=True, slots=True)
class Excerpts:
    """``offset`` is the first byte that differs; ``former`` and ``now`` are what stands around it. ``is_shuffled``:
    both files have the same lines, in another order."""

    offset: int
    former: bytes
    now: bytes
    is_shuffled: bool = False


@dataclass(frozen=True, slots=True)
class Difference:
    """``field`` is what of the entry differs: ``content``, or a field of its header; ``former`` and ``now`` are its
    values, None where there is no such entry. ``bytes`` is there for contents that were looked into."""

    path: bytes
    field: str
    former: str | None
    now: str | None
    bytes: Excerpts | None = None


def compare_layers(former: Open, now: Open, most: int) -> list[Difference]:
    """The differences in the order of the former layer, the new entries last. Of the contents that differ, the first
    ``most`` are looked into."""
    was, is_ = _entries(former), _entries(now)
    found = [one for path, facts in was.items() for one in _of_entry(path, facts, is_.get(path))]
    found += [Difference(path, "entry", None, "is there") for path in is_.keys() - was.keys()]
    contents = {one.path for one in found if one.field == "content"}
    looked = dict(islice(_look_into(former, now, contents), most))
    return [replace(one, bytes=looked.get(one.path)) if one.field == "content" else one for one in found]


def _entries(open_: Open) -> dict[bytes, dict[str, str]]:
    """Header fields by path, as people know them, and the content as its digest."""
    with open_() as stream:
        return {member.path: _facts(member) for member in read_tar(stream)}


def _facts(member: Member) -> dict[str, str]:
    digest = hashlib.sha256()
    for chunk in member.chunks():
        digest.update(chunk)
    return {
        "kind": "hard link" if member.is_link else member.kind.value,
        "mode": f"{member.mode:04o}",
        "owner": f"{member.uid}:{member.gid}",
        "target": member.linkname.decode(errors="backslashreplace"),
        "device": "{}:{}".format(*member.device),
        "attributes": " ".join(f"{name.decode(errors='replace')}={value.hex()}" for name, value in member.xattrs),
        "content": f"{member.size} bytes, sha256:{digest.hexdigest()}",
        "mtime": str(member.mtime),
    }


def _of_entry(path: bytes, was: Mapping[str, str], is_: Mapping[str, str] | None) -> Iterator[Difference]:
    if is_ is None:
        yield Difference(path, "entry", "was there", None)
        return
    for field in was:
        if was[field] != is_[field]:
            yield Difference(path, field, was[field], is_[field])


def _look_into(former: Open, now: Open, paths: set[bytes]) -> Iterator[tuple[bytes, Excerpts]]:
    """Both layers have what they have in common in the same order."""
    with former() as was, now() as is_:
        ours = (member for member in read_tar(is_) if member.path in paths)
        for member in read_tar(was):
            if member.path in paths and (other := next(ours, None)) is not None and other.path == member.path:
                yield member.path, _excerpts(_head(member), _head(other))


def _head(member: Member) -> bytes:
    data = bytearray()
    for chunk in member.chunks():
        data += chunk
        if len(data) >= _CAP:
            break
    return bytes(data[:_CAP])


def _excerpts(was: bytes, is_: bytes) -> Excerpts:
    offset = _first_difference(was, is_)
    window = slice(max(0, offset - _AROUND), offset + _AROUND)
    lines = sorted(was.splitlines()) == sorted(is_.splitlines())
    return Excerpts(offset, was[window], is_[window], lines)


def _first_difference(was: bytes, is_: bytes) -> int:
    """By halves: comparing bytes one by one takes Python a second for each ten million."""
    low, high = 0, min(len(was), len(is_))
    while low < high:
        middle = (low + high + 1) // 2
        if was[low:middle] == is_[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low
