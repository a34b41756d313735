"""What every reader of a blob may rely on, and how much memory a layer takes."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path

import pytest
import zstandard

from assembler.layer.codecs import CODECS
from assembler.layer.compress import compressor

DATA = b"".join(random.Random(1).choice((b"one ", b"two ", b"three\n")) for _ in range(900_000))
LEVELS = [(name, level) for name, codec in CODECS.items() for level in codec.levels if level < 18]


def compressed(codec: str, level: int, step: int, threads: int = 2) -> bytes:
    stream = compressor(codec, level, threads)
    return b"".join([*(stream.compress(DATA[at : at + step]) for at in range(0, len(DATA), step)), *stream.flush()])


@pytest.mark.parametrize(("codec", "level"), LEVELS)
def test_the_pieces_that_data_comes_in_change_nothing(codec: str, level: int) -> None:
    assert compressed(codec, level, 1 << 20, threads=1) == compressed(codec, level, 777_777, threads=3)


@pytest.mark.parametrize("file_size", [100, 100_000])
@pytest.mark.parametrize("level", CODECS["zstd"].levels)
def test_a_zstd_frame_asks_its_reader_for_no_more_than_8_mib(level: int, file_size: int) -> None:
    stream = compressor("zstd", level, threads=1, file_size=file_size)
    blob = b"".join([stream.compress(DATA), *stream.flush()])
    frame = zstandard.get_frame_parameters(blob)
    assert frame.window_size <= 8 << 20
    assert frame.has_checksum
    assert frame.content_size == zstandard.CONTENTSIZE_UNKNOWN


def test_gzip_is_a_series_of_members_that_gzip_reads() -> None:
    blob = compressed("gzip", 6, 1 << 20)
    assert subprocess.run(["gzip", "-dc"], input=blob, check=True, capture_output=True).stdout == DATA
    assert blob.count(b"\x1f\x8b\x08\x00\x00\x00\x00\x00") == -(-len(DATA) // (1 << 20)), "no name and no time in any"


@pytest.mark.parametrize("codec", CODECS)
def test_nothing_at_all_is_a_stream_as_well(codec: str) -> None:
    stream = compressor(codec)
    blob = b"".join([stream.compress(b""), *stream.flush()])
    if codec != "none":
        plain = subprocess.run([codec, "-dc"], input=blob, check=True, capture_output=True).stdout
        assert (plain, blob != b"") == (b"", True)


MEASURE = """
import json, os, sys
from assembler.layer.compress import compressor
from assembler.layer.entry import Entry
from assembler.layer.write_layer import write_layer
from assembler.model.node import Content, Kind, Node
path, size = os.fsencode(sys.argv[1]), int(sys.argv[2])
entries = [Entry(b"file", Node(Kind.REGULAR, 0o644, size=size), content=Content(path))]
with open(os.devnull, "wb", 0) as sink:
    layer = write_layer(entries, sink, compressor(sys.argv[3], threads=2))
status = open("/proc/self/status").read()
print(json.dumps([layer.size, int(status.partition("VmHWM:")[2].split()[0]) * 1024]))
"""


@pytest.mark.parametrize("codec", ["zstd", "gzip"])
def test_memory_does_not_grow_with_the_layer(codec: str, tmp_path: Path) -> None:
    size = 1 << 29
    with (tmp_path / "file").open("wb") as file:
        file.truncate(size)
    command = [sys.executable, "-c", MEASURE, str(tmp_path / "file"), str(size), codec]
    written, memory = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    assert written == size + 3 * 512
    assert memory < 200 * 10**6
