"""Streams as gzip, pigz, zstd and plain files are, whole and damaged."""

from __future__ import annotations

import gzip
import io
import os
import struct
import subprocess
import tracemalloc

import pytest
import zstandard

from assembler.errors import ImageError
from assembler.layer.decompress import decompress
from assembler.layer.read import Readable

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


def test_a_bomb_is_read_in_bounded_memory() -> None:
    bomb = zstandard.compress(bytes(1 << 28))
    tracemalloc.start()
    stream: Readable = decompress(io.BytesIO(bomb))
    size = sum(len(piece) for piece in iter(lambda: stream.read(1 << 20), b""))
    assert size == 1 << 28
    assert tracemalloc.get_traced_memory()[1] < 100 << 20
    tracemalloc.stop()
