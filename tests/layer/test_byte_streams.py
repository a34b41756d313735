from __future__ import annotations

import random

from assembler.layer.byte_streams import Pieces


def test_pieces_of_any_size_are_read_in_any_size() -> None:
    data = random.Random(1).randbytes(10_000)
    for size in (1, 7, 1000, 20_000):
        pieces = Pieces(data[start : start + 333] for start in range(0, len(data), 333))
        read = b""
        while piece := pieces.read(size):
            assert len(piece) <= size
            read += piece
        assert read == data and pieces.taken == len(data)


def test_empty_pieces_are_no_end() -> None:
    pieces = Pieces(iter([b"", b"a", b"", b"b"]))
    assert [pieces.read(5) for _ in range(3)] == [b"a", b"b", b""]
