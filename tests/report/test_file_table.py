from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assembler.report.file_table import FileRow, FileTable, LayerRow, file_table, shares


def test_rows_come_back_sorted() -> None:
    table = file_table([
        LayerRow(b"usr/lib/x.ko", 100, step=1, share=40, kind="kernel module", package="nvidia"),
        LayerRow(b"top", 3),
        LayerRow(b"usr/lib/a\xff", 5, step=0, share=5, kind="text"),
    ])  # fmt: skip
    assert list(table.rows()) == [
        FileRow("/top", 3, None, None, None, None),
        FileRow("/usr/lib/a\\xff", 5, 0, 5, "text", None),
        FileRow("/usr/lib/x.ko", 100, 1, 40, "kernel module", "nvidia"),
    ]
    assert table.directories == ("/", "/usr/lib")
    assert FileTable.model_validate_json(table.model_dump_json()) == table
    assert len(table) == 3


def test_a_hundred_thousand_files_are_a_small_record() -> None:
    paths = (b"usr/share/d%d/file%d.h" % (n % 5000, n) for n in range(100_000))
    table = file_table(LayerRow(path, n, n % 7, n // 3, "text", "p") for n, path in enumerate(paths))
    assert len(table.model_dump_json()) < 5_000_000


@pytest.mark.parametrize("broken", [{"names": ["x", "y"]}, {"parents": [7]}, {"parents": [-1]}, {"kinds": [0]}])
def test_a_table_that_points_nowhere_is_refused(broken: dict[str, object]) -> None:
    good = file_table([LayerRow(b"a", 1)]).model_dump()
    with pytest.raises(ValueError, match=r"the columns differ|points to a name"):
        FileTable.model_validate({**good, **broken})


def test_shares_follow_the_compressor() -> None:
    assert shares([100, 100, 200], [(200, 20), (400, 120)]) == [10, 10, 100]
    assert shares([300, 100], [(200, 20), (400, 120)]) == [70, 50]
    assert shares([10], [(10, 7)]) == [7]
    assert shares([], [(0, 9)]) == []


@given(st.lists(st.integers(0, 10**6), min_size=1), st.integers(1, 50), st.randoms(use_true_random=False))
def test_shares_sum_to_the_blob(sizes: list[int], blocks: int, chance: random.Random) -> None:
    total = sum(sizes)
    cuts = [*sorted(chance.randint(0, total) for _ in range(blocks)), total]
    out, marks = 0, []
    for cut in cuts:
        out += chance.randint(0, 1000)
        marks.append((cut, out))
    found = shares(sizes, marks)
    assert len(found) == len(sizes)
    assert min(found) >= 0
    if total:
        assert sum(found) == out
