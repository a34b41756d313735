"""What the writer tells of the compressor's progress: enough to say which file takes how much of the blob."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest

from assembler.layer.codecs import CODECS
from assembler.layer.compress import compressor
from assembler.layer.entry import Entry
from assembler.layer.tar_header import BLOCK
from assembler.layer.write_layer import write_layer
from assembler.model.node import Content, Kind, Node

MIB = 1 << 20


@pytest.mark.parametrize("codec", CODECS)
def test_random_bytes_take_the_blob_and_zeros_none_of_it(codec: str, tmp_path: Path) -> None:
    files = {"random": os.urandom(24 * MIB), "zeros": bytes(24 * MIB)}
    entries = []
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
        node = Node(Kind.REGULAR, 0o644, size=len(data))
        entries.append(Entry(name.encode(), node, content=Content(os.fsencode(tmp_path / name))))
    blob = io.BytesIO()
    layer = write_layer(entries, blob, compressor(codec))

    assert list(layer.ends) == [24 * MIB + BLOCK, 48 * MIB + 2 * BLOCK]
    assert layer.marks[-1] == (layer.size, layer.descriptor.size) == (48 * MIB + 4 * BLOCK, len(blob.getvalue()))
    assert list(layer.marks) == sorted(layer.marks), "both only ever grow"
    assert len(layer.marks) <= 51
    if codec != "none":
        # Up to where the random bytes end the blob grows as the tar does, within the blocks that are under way.
        at_half = max(out for into, out in layer.marks if into <= 24 * MIB)
        assert 14 * MIB < at_half <= 24.1 * MIB < len(blob.getvalue()) + MIB
