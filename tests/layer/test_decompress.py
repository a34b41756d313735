"""Streams as gzip, pigz, zstd and plain files are, whole and damaged."""

from __future__ import annotations

import gzip
import io
import os
import struct
import subprocess
import tracemalloc
from functools import partial
from pathlib import Path

import pytest
import zstandard

from assembler.errors import ImageError
from assembler.layer.decompress import Unpacked, decompress
from assembler.layer.read_tar import Readable

DATA = os.urandom(300_000) + bytes(3_000_000) + b"the end"
SKIPPABLE = struct.pack("<II", 0x184D2A5F, 5) + b"hello"


def plain(data: bytes) -> bytes:
    stream = decompress(io.BytesIO(data))
    return b"".join(iter(lambda: stream.read(70_000), b""))


def tool(*argv: str) -> bytes:
    return subprocess.run(argv, input=DATA, stdout=subprocess.PIPE, check=True).stdout


@pytest.mark.parametrize("packed", [
    pytest.param(DATA, id="plain"), pytest.param(gzip.compress(DATA), id="gzip"),
    pytest.param(tool("pigz", "-c", "-p2"), id="pigz"), pytest.param(tool("zstd", "-c", "-q", "-T2"), id="zstd"),
    pytest.param(gzip.compress(DATA[:1000]) + gzip.compress(DATA[1000:]), id="two gzip members"),
    pytest.param(gzip.compress(DATA) + bytes(10_000), id="gzip with zeros after it"),
    pytest.param(zstandard.compress(DATA[:1000]) + SKIPPABLE + zstandard.compress(DATA[1000:]), id="two zstd frames"),
    pytest.param(SKIPPABLE + zstandard.compress(DATA), id="skippable frame first"),
])
def test_every_form_gives_the_same_bytes(packed: bytes) -> None:
    assert plain(packed) == DATA


@pytest.mark.parametrize("data", [b"", b"x", b"xyz", b"abcd"])
def test_short_plain_streams(data: bytes) -> None:
    assert plain(data) == data


@pytest.mark.parametrize("damaged", [
    pytest.param(gzip.compress(DATA)[:-5], id="gzip cut off"),
    pytest.param(zstandard.compress(DATA)[:-1], id="zstd cut off"),
    pytest.param((zstandard.compress(DATA) + SKIPPABLE)[:-1], id="skippable frame cut off"),
    pytest.param(gzip.compress(DATA) + b"rubbish", id="rubbish after gzip"),
    pytest.param(zstandard.compress(DATA) + b"rubbish", id="rubbish after zstd"),
    pytest.param(zstandard.compress(DATA)[:100] + b"rubbish" + zstandard.compress(DATA)[107:-4000], id="zstd damaged"),
    pytest.param(gzip.compress(DATA)[:-8] + bytes(8), id="wrong crc"),
])
def test_damage_is_an_error(damaged: bytes) -> None:
    with pytest.raises(ImageError):
        plain(damaged)


def unpacked(data: bytes) -> Unpacked:
    stream = decompress(io.BytesIO(data))
    while stream.read(1 << 20):
        pass
    return stream


def zstd(data: bytes, window_log: int) -> bytes:
    parameters = zstandard.ZstdCompressionParameters.from_level(1, window_log=window_log)
    stream = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    return stream.compress(data) + stream.flush()


@pytest.mark.parametrize(("packed", "zeros", "starts_oddly"), [
    pytest.param(gzip.compress(DATA), 0, False, id="gzip"),
    pytest.param(gzip.compress(DATA) + bytes(3000), 3000, False, id="zeros behind gzip"),
    pytest.param(gzip.compress(DATA) + bytes(7) + gzip.compress(DATA), 7, False, id="zeros between"),
    pytest.param(zstandard.compress(DATA) + bytes(1), 1, False, id="zeros behind zstd"),
    pytest.param(zstandard.compress(DATA) + SKIPPABLE, 0, False, id="a skippable frame last"),
    pytest.param(SKIPPABLE + zstandard.compress(DATA), 0, True, id="a skippable frame first"),
    pytest.param(DATA + bytes(512), 0, False, id="zeros of a plain stream"),
])
def test_what_stricter_readers_refuse_is_known(packed: bytes, zeros: int, starts_oddly: bool) -> None:
    found = unpacked(packed)
    assert (found.zeros, found.starts_oddly) == (zeros, starts_oddly)


def test_the_window_is_that_of_the_largest_frame() -> None:
    assert unpacked(zstd(b"a", 20) + zstd(b"b", 24) + zstd(b"c", 10)).window == 1 << 24
    assert unpacked(gzip.compress(DATA)).window == 0
    with pytest.raises(ImageError, match="window is 256 MiB"):
        unpacked(zstd(b"a", 28))
    command = ["zstd", "-q", "-c", "--ultra", "--long=27"]
    packed = subprocess.run(command, input=DATA, capture_output=True, check=True).stdout
    assert unpacked(packed).window == 1 << 27


def test_a_gzip_header_that_depends_on_the_host_is_known(tmp_path: Path) -> None:
    (tmp_path / "name").write_bytes(DATA)
    for options, is_dated in ((["-n"], False), ([], True)):
        packed = subprocess.run(["gzip", "-c", *options, tmp_path / "name"], capture_output=True, check=True).stdout
        assert unpacked(packed).is_dated == is_dated
    pgzip = bytearray(gzip.compress(DATA, mtime=0))
    pgzip[4:8] = b"\x00\x09\x6e\x88"  # as umoci and buildah write it into every layer
    assert not unpacked(bytes(pgzip)).is_dated
    assert not unpacked(gzip.compress(DATA, mtime=0)).is_dated and unpacked(gzip.compress(DATA, mtime=1)).is_dated


def test_members_are_told_apart_however_few_bytes_come_at_once() -> None:
    class OneByteAtATime:
        def __init__(self, data: bytes) -> None:
            self.stream = io.BytesIO(data)

        def read(self, size: int, /) -> bytes:
            return self.stream.read(min(size, 1))

    for packed in (zstd(b"ab", 24) + SKIPPABLE + zstd(b"c", 10), gzip.compress(b"ab") + gzip.compress(b"c")):
        stream = decompress(OneByteAtATime(packed))
        assert b"".join(iter(partial(stream.read, 9), b"")) == b"abc"


def test_a_bomb_is_read_in_bounded_memory() -> None:
    bomb = zstandard.compress(bytes(1 << 28))
    tracemalloc.start()
    stream: Readable = decompress(io.BytesIO(bomb))
    size = sum(len(piece) for piece in iter(lambda: stream.read(1 << 20), b""))
    assert size == 1 << 28
    assert tracemalloc.get_traced_memory()[1] < 100 << 20
    tracemalloc.stop()
