from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assembler.model.size import human, parse_size


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"), (1, "1 B"), (999, "999 B"), (1000, "1.00 kB"), (9994, "9.99 kB"), (9996, "10.0 kB"),
        (46_300_000, "46.3 MB"), (99_960_000, "100 MB"), (999_499, "999 kB"), (999_500, "1.00 MB"),
        (1_590_000_000, "1.59 GB"), (-766_000_000, "-766 MB"), (5 * 10**18, "5000 PB"),
    ],
)
def test_three_digits(size: int, text: str) -> None:
    assert human(size) == text


@given(st.integers(min_value=1000, max_value=10**17))
def test_what_is_shown_reads_back_to_half_a_percent(size: int) -> None:
    shown = human(size)
    number, unit = shown.split()
    factor = {"kB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12, "PB": 10**15}[unit]
    assert abs(float(number) * factor - size) <= 0.0051 * size
    assert len(shown) <= 7


@pytest.mark.parametrize(
    ("text", "size"),
    [("60MB", 60_000_000), ("60MiB", 62_914_560), ("1.5 GB", 1_500_000_000), ("5B", 5), ("3kB", 3000), ("1KiB", 1024)],
)
def test_sizes_as_people_write_them(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "60", "60M", "MB", "-1MB", "1e3MB", "60 Mb", "60MB and more"])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="write it as"):
        parse_size(text)
