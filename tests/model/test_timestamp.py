from __future__ import annotations

import pytest

from assembler.model.timestamp import moment, parse_created


@pytest.mark.parametrize(("text", "same"), [
    ("2026-01-02T03:04:05Z", "2026-01-02T03:04:05Z"),
    ("2026-01-02T04:04:05+01:00", "2026-01-02T03:04:05Z"),
    ("2026-01-01T23:04:05.25-04:00", "2026-01-02T03:04:05.250000Z"),
    ("now", "now"),
    ("source_date_epoch", "source_date_epoch"),
])
def test_one_moment_has_one_text(text: str, same: str) -> None:
    assert parse_created(text) == same


@pytest.mark.parametrize("text", [
    "", "today", "2026-01-02", "2026-01-02T03:04:05", "2026-01-02 03:04:05Z", "2026-01-02t03:04:05z",
    "2026-02-31T00:00:00Z", "0001-01-01T00:00:00+14:00", "2026-01-02T03:04:60Z", "1700000000",
])
def test_what_go_could_not_read_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a time; write it as"):
        parse_created(text)


def test_seconds_become_a_moment() -> None:
    assert (moment(0), moment(1_700_000_000.9)) == ("1970-01-01T00:00:00Z", "2023-11-14T22:13:20Z")
    with pytest.raises(ValueError, match="beyond the year 9999"):
        moment(10**12)
