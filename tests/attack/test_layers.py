"""Layers that broke other tools, 2019 to 2026: umoci, containers/storage, containerd, Docker, and readers of tars.

imgasm never writes a layer's entries to a disk. So each of these has to be read in bounded time and memory, with no
path that leads out of the rootfs; and ``imgasm verify`` has to say what is wrong where something is.
"""

from __future__ import annotations

import gzip
import io
import resource
import struct
import tarfile
import time
import tracemalloc
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import pytest
import zstandard

from assembler.changeset.tar_tree import TarTree
from assembler.errors import ImageError
from assembler.layer.check_layer import check_layer
from assembler.layer.decompress import decompress
from assembler.layer.path_tree import PathTree
from assembler.layer.read_tar import read_tar
from tests.layer.test_check_layer import C, D, L, S, entry, layer

if TYPE_CHECKING:
    from collections.abc import Callable

SECONDS: Final = 20.0
"""Of processor time."""
BYTES: Final = 96 << 20


@dataclass(frozen=True)
class Hostile:
    """``said`` is in a finding of ``verify``, or the error's own words; None: the layer is right, and is to be read as
    what it is. ``paths`` are all that it has."""

    data: bytes
    said: str | None
    paths: tuple[bytes, ...] | None = None


def raw(name: bytes = b"f", size: bytes = b"00000000000\0", kind: bytes = b"0", mtime: bytes = b"00000000000\0",
        link: bytes = b"") -> bytes:  # fmt: skip
    """A header with fields as no honest writer makes them."""
    block = bytearray(512)
    block[0 : len(name)] = name
    block[100:108], block[108:116], block[116:124] = b"0000644\0", b"0000000\0", b"0000000\0"
    block[124:136], block[136:148], block[156:157] = size, mtime, kind
    block[157 : 157 + len(link)] = link
    block[257:265] = b"ustar\00000"
    block[148:156] = b"        "
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def pax(records: bytes, declared: int | None = None) -> bytes:
    size = len(records) if declared is None else declared
    return raw(b"pax", b"%011o\0" % size, b"x") + records + bytes(-len(records) % 512)


def record(key: bytes, value: bytes) -> bytes:
    length = len(key) + len(value) + 3
    while len(b"%d" % length) + len(key) + len(value) + 3 != length:
        length = len(b"%d" % length) + len(key) + len(value) + 3
    return b"%d %s=%s\n" % (length, key, value)


END = bytes(1024)
INNER = layer(entry("../../root/.ssh/authorized_keys", content=b"evil"))

CASES: dict[str, Callable[[], Hostile]] = {
    "CVE-2021-29136 umoci: the root is a symlink": lambda: Hostile(
        layer(entry(".", S, linkname="/"), entry("etc/cron.d/x", content=b"evil")), "the root is not a directory"),
    "CVE-2021-29136 umoci: the root is a hard link": lambda: Hostile(
        layer(entry("./", L, linkname="etc")), "the root is not a directory"),
    "CVE-2019-14271 and its kin: entries through a symlink of the same layer": lambda: Hostile(
        layer(entry("lib", S, linkname="/host"), entry("lib/nss.so", content=b"x")), "not a directory"),
    "CVE-2021-32760 containerd: modes changed through a hard link to a symlink": lambda: Hostile(
        layer(entry("s", S, linkname="/etc/shadow"), entry("h", L, linkname="s")), None, (b"s", b"h")),
    "CVE-2021-21272 oras: a hard link out of the rootfs": lambda: Hostile(
        layer(entry("h", L, linkname="../../etc/shadow")), "leads out of the rootfs"),
    "CVE-2007-4559 tarfile: a name that leads out": lambda: Hostile(
        layer(entry("a/../../etc/passwd", content=b"x")), "leads out of the rootfs"),
    "CVE-2021-32804 node-tar: an absolute name": lambda: Hostile(
        layer(entry("////etc/passwd", content=b"x")), "is absolute", (b"etc/passwd",)),
    "CVE-2021-32803 node-tar: a directory, then a symlink in its place": lambda: Hostile(
        layer(entry("d", D), entry("d", S, linkname="/etc"), entry("d/passwd", content=b"x")),
        "in the layer twice"),
    "CVE-2024-28863 node-tar: a path of a hundred thousand directories": lambda: Hostile(
        layer(entry("d/" * 30_000 + "f")), "longer than a path"),
    "CVE-2025-4517 tarfile: a link whose target is too long to be resolved": lambda: Hostile(
        layer(*(entry(f"{'d' * 200}{n}", S, linkname="d" * 200 + str(n - 1)) for n in range(1, 60)),
              entry("d" * 200 + "59/../../../x")), "leads out of the rootfs"),
    "CVE-2024-12718 tarfile: a hard link to the root": lambda: Hostile(
        layer(entry("d", L, linkname=".")), "hard link"),
    "CVE-2025-4330 tarfile: a symlink to outside stays a symlink": lambda: Hostile(
        layer(entry("s", S, linkname="../../../etc")), None, (b"s",)),
    "CVE-2018-15664 and its kin: a file where a directory was, with more below": lambda: Hostile(
        layer(entry("d", D), entry("d/e", content=b"1"), entry("d/e/f", content=b"2")), "not a directory"),
    "CVE-2022-2879 Go: extended headers without an end": lambda: Hostile(
        pax(record(b"comment", b"x" * 3_000_000)) + raw() + END, "extended header"),
    "CVE-2022-2879 Go: an extended header that declares 8 GiB": lambda: Hostile(
        pax(b"", declared=0o77777777777) + END, ""),
    "CVE-2025-58183 Go: a map of a sparse file of a million parts": lambda: Hostile(
        pax(record(b"GNU.sparse.major", b"1") + record(b"GNU.sparse.minor", b"0"))
        + raw(size=b"%011o\0" % 4_000_000) + b"1000000\n" + b"0\n1\n" * 999_998 + END, "sparse"),
    "CVE-2019-9923 GNU tar: a sparse file without a map": lambda: Hostile(
        pax(record(b"GNU.sparse.numblocks", b"99999999")) + raw(kind=b"S") + END, "sparse"),
    "CVE-2019-20907 tarfile: an extended header of length 0": lambda: Hostile(
        pax(b"0 path=x\n") + raw() + END, "record"),
    "CVE-2024-6232 tarfile: a header of digits alone": lambda: Hostile(
        pax(b"1" * 900_000) + raw() + END, ""),
    "CVE-2025-8194 tarfile: a negative size": lambda: Hostile(
        raw(size=b"\xff" * 12) + END, ""),
    "CVE-2022-48303 GNU tar: a time of blanks in a base-256 field": lambda: Hostile(
        raw(mtime=b"\x80" + b" " * 11) + END, ""),
    "CVE-2022-48303 GNU tar: a size of blanks": lambda: Hostile(
        raw(size=b" " * 12) + END, None, (b"f",)),
    "CVE-2025-62518 tokio-tar: the size in PAX and another one in the header": lambda: Hostile(
        pax(record(b"size", b"%d" % len(INNER))) + raw(b"archive.tar") + INNER + bytes(-len(INNER) % 512) + END,
        None, (b"archive.tar",)),
    "CVE-2025-62518 tokio-tar: two extended headers that disagree about the size": lambda: Hostile(
        pax(record(b"size", b"0")) + pax(record(b"size", b"512")) + raw() + bytes(512) + END, "extended header"),
    "CVE-2023-39804 GNU tar: an attribute with a name of a megabyte": lambda: Hostile(
        pax(record(b"SCHILY.xattr." + b"a" * 900_000, b"1")) + raw() + END, None),
    "CVE-2021-38511 tar-rs: a directory through a symlink": lambda: Hostile(
        layer(entry("s", S, linkname="/tmp"), entry("s/made", D)), "not a directory"),
    "CVE-2024-9676 containers/storage: /etc/passwd is a symlink": lambda: Hostile(
        layer(entry("etc", D), entry("etc/passwd", S, linkname="/dev/zero")), None, (b"etc", b"etc/passwd")),
    "kind: a device that overlayfs takes for a removal": lambda: Hostile(
        layer(entry("w", C, devmajor=0, devminor=0)), "device 0:0"),
    "kind: a removal that names nothing": lambda: Hostile(layer(entry(".wh...")), "names nothing"),
    "kind: a removal below a removal": lambda: Hostile(layer(entry(".wh.a/.wh.b")), "name of a whiteout"),
    "kind: a NUL in a name of PAX": lambda: Hostile(pax(record(b"path", b"a\0b")) + raw() + END, ""),
    "kind: a link to itself": lambda: Hostile(layer(entry("h", L, linkname="h")), "hard link"),
    "kind: bytes behind the end": lambda: Hostile(layer(entry("f")) + INNER, "after the end"),
    "kind: a name of a megabyte": lambda: Hostile(layer(entry("n" * 900_000)), "longer than a path"),
    "kind: an archive that ends in a header": lambda: Hostile(layer(entry("f", content=b"x" * 600))[:700], ""),
}


@pytest.mark.parametrize("name", CASES)
def test_a_hostile_layer_is_told_or_read_as_what_it_is(name: str) -> None:
    hostile = CASES[name]()
    begin = resource.getrusage(resource.RUSAGE_SELF).ru_utime
    tracemalloc.start()
    findings = [finding.what for finding in check_layer(io.BytesIO(hostile.data), PathTree(), "layer")]
    paths: list[bytes] = []
    refusal = ""
    try:
        for member in read_tar(io.BytesIO(hostile.data)):
            paths.append(member.path)
        TarTree().apply_layer(io.BytesIO(hostile.data))
    except ImageError as error:
        refusal = error.message
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_utime - begin < SECONDS and peak < BYTES
    assert not [path for path in paths if path.startswith(b"/") or b".." in path.split(b"/")]
    if hostile.said is None:
        assert not refusal and not [what for what in findings if "damaged" in what]
    else:
        assert findings, "verify says it"
        assert any(hostile.said in what for what in [*findings, refusal]), (findings, refusal)
    if hostile.paths is not None:
        assert tuple(paths) == hostile.paths


BOMBS: dict[str, Callable[[], bytes]] = {
    "CVE-2021-20291 containers/storage: a compressed stream that never ends well": lambda: gzip.compress(INNER)[:-8],
    "kind: gzip, a thousandfold": lambda: gzip.compress(bytes(200 << 20), 9),
    "kind: gzip in gzip": lambda: gzip.compress(gzip.compress(bytes(1 << 20))),
    "kind: a million empty members of gzip": lambda: gzip.compress(b"") * 200_000,
    "kind: zstd, ten thousandfold": lambda: zstandard.compress(bytes(200 << 20)),
    "kind: a zstd frame that wants a window of 2 GiB": lambda: (
        b"\x28\xb5\x2f\xfd" + bytes([0x00, 21 << 3]) + struct.pack("<I", (100 << 3) | 1)[:3] + bytes(100)),
    "kind: a zstd frame that wants a window of an exabyte": lambda: b"\x28\xb5\x2f\xfd\x00\xff" + bytes(100),
    "kind: zstd skippable frames only": lambda: (b"\x50\x2a\x4d\x18" + struct.pack("<I", 0)) * 100_000,
    "kind: noise after the magic number": lambda: b"\x1f\x8b\x08" + bytes(range(256)) * 100,
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_takes_no_more_than_a_layer(name: str) -> None:
    data = BOMBS[name]()
    begin, total = time.process_time(), 0
    tracemalloc.start()
    try:
        stream = decompress(io.BytesIO(data))
        while chunk := stream.read(1 << 16):
            total += len(chunk)
    except ImageError as error:
        assert error.message
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert time.process_time() - begin < SECONDS and peak < BYTES
    findings = check_layer(decompress(io.BytesIO(data)), PathTree(), "layer") if total else []
    assert all(finding.what.isprintable() for finding in findings)


def test_tarfile_itself_would_have_followed() -> None:
    """The names are as hostile as they are meant to be: another reader sees them so."""
    with tarfile.open(fileobj=io.BytesIO(INNER)) as tar:
        assert tar.getnames() == ["../../root/.ssh/authorized_keys"]
