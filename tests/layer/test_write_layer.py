"""The single pass: what comes out, in every codec and with any number of threads, and what happens when it can't."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from assembler.errors import ChangesetError
from assembler.layer.compress import compressor
from assembler.layer.entry import Entry
from assembler.layer.write_layer import write_layer
from assembler.model.digest import Digest
from assembler.model.node import Content, Kind, Node

pytestmark = pytest.mark.usefixtures("each_way")

SIZES = (0, 1, 511, 512, 513, (1 << 20) - 512, 1 << 20, (1 << 20) + 1, 5_000_000)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Entry]:
    """Files around the sizes of blocks and chunks, half of each compressible, and one that lies inside another."""
    directory = tmp_path_factory.mktemp("files")
    entries = []
    for size in SIZES:
        path = directory / str(size)
        path.write_bytes((os.urandom(size // 2) + b"same " * size)[:size])
        content = Content(os.fsencode(path)) if size else None
        entries.append(Entry(b"d/%d" % size, Node(Kind.REGULAR, 0o644, mtime=5, size=size), content=content))
    inside = Content(os.fsencode(directory / "5000000"), 1000)
    entries.append(Entry(b"inside", Node(Kind.REGULAR, 0o600, size=700), content=inside))
    return entries


def decompressed(codec: str, data: bytes) -> bytes:
    if codec == "zstd":
        return subprocess.run(["zstd", "-dc"], input=data, check=True, capture_output=True).stdout
    return gzip.decompress(data) if codec == "gzip" else data


@pytest.mark.parametrize("codec", ["zstd", "gzip", "none"])
def test_the_layer_and_what_is_told_of_it(files: list[Entry], codec: str, tmp_path: Path) -> None:
    sink = io.BytesIO()
    advanced: list[int] = []
    layer = write_layer(files, sink, compressor(codec, threads=2), advance=advanced.append)
    blob = sink.getvalue()
    tar = decompressed(codec, blob)
    assert layer.descriptor.digest == Digest.of(blob) and layer.descriptor.size == len(blob)
    assert layer.diff_id == Digest.of(tar) and layer.size == len(tar) == sum(advanced)
    assert layer.entries == len(files)
    subprocess.run(["tar", "-x", "-C", tmp_path], input=tar, check=True)
    for entry in files:
        written = (tmp_path / os.fsdecode(entry.path)).read_bytes()
        assert entry.node is not None
        assert len(written) == entry.node.size
        if entry.content is not None:
            source = Path(os.fsdecode(entry.content.file)).read_bytes()
            assert written == source[entry.content.offset :][: entry.node.size]


@pytest.mark.parametrize("codec", ["zstd", "gzip"])
def test_the_number_of_threads_changes_nothing(files: list[Entry], codec: str) -> None:
    digests = set()
    for threads in (1, 2, 3, 8):
        sink = io.BytesIO()
        write_layer(files, sink, compressor(codec, threads=threads))
        digests.add(hashlib.sha256(sink.getvalue()).hexdigest())
    assert len(digests) == 1


def test_a_file_that_shrinks_is_an_error_and_no_thread_is_left(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"short")
    entry = Entry(b"opt/f", Node(Kind.REGULAR, 0o644, size=6), content=Content(os.fsencode(path)))
    before = threading.active_count()
    with pytest.raises(ChangesetError, match="opt/f became 1 bytes shorter while it was read"):
        write_layer([entry], io.BytesIO(), compressor("zstd"))
    assert threading.active_count() == before


def test_a_symlink_in_a_files_place_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"secret")
    (tmp_path / "f").symlink_to("secret")
    content = Content(os.fsencode(tmp_path / "f"))
    with pytest.raises(ChangesetError, match="symbolic links"):
        write_layer([Entry(b"f", Node(Kind.REGULAR, 0, size=6), content=content)], io.BytesIO(), compressor("none"))


def test_a_full_disk_is_told_at_once_and_no_thread_is_left() -> None:
    """/dev/full takes no byte. A million entries would take a minute if nobody noticed."""
    before, given = threading.active_count(), 0

    def entries() -> Iterator[Entry]:
        nonlocal given
        for given in range(1_000_000):
            yield Entry(b"%d" % given, Node(Kind.FIFO, 0))

    with open("/dev/full", "wb", buffering=0) as full, pytest.raises(OSError, match="No space left"):
        write_layer(entries(), full, compressor("none"))
    assert given < 100_000
    assert threading.active_count() == before


@pytest.mark.parametrize("codec", ["zstd", "gzip", "none"])
def test_a_disk_that_is_full_at_the_last_piece_is_told(codec: str) -> None:
    """A small layer reaches the disk when all else is done, and nobody comes after who could notice."""
    entries = [Entry(b"small", Node(Kind.FIFO, 0o644))]
    with open("/dev/full", "wb", buffering=0) as full, pytest.raises(OSError, match="No space left"):
        write_layer(entries, full, compressor(codec))
