"""Moments as an image's config has them: RFC 3339, in UTC (image-spec config.md, "created")."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final

RFC_3339: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")

NOW: Final = "now"
EPOCH: Final = "source_date_epoch"
"""Words for moments that only a build knows: its own beginning, and the time that clamps its new files."""


def parse_created(text: str) -> str:
    """One of the words as it is, any other moment in UTC, so that one moment has one text. ValueError if it is none."""
    if text in (NOW, EPOCH):
        return text
    try:
        if RFC_3339.fullmatch(text):
            return _text(datetime.fromisoformat(text))
    except (ValueError, OverflowError):
        pass  # the 31st of February; the year 0
    raise ValueError(f'{text!r} is not a time; write it as "2026-01-02T03:04:05Z", "{EPOCH}" or "{NOW}"')


def moment(seconds: float) -> str:
    """``seconds`` since 1970, to the whole second. ValueError beyond the year 9999."""
    try:
        return _text(datetime.fromtimestamp(int(seconds), UTC))
    except (ValueError, OverflowError, OSError):
        raise ValueError(f"{seconds} seconds since 1970 is beyond the year 9999") from None


def _text(when: datetime) -> str:
    return when.astimezone(UTC).isoformat().replace("+00:00", "Z")


def ago(seconds: float) -> str:
    """How long that is, for people: one number and its unit."""
    for unit, length in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if seconds >= 2 * length:
            return f"{int(seconds // length)} {unit}s"
    return f"{max(0, int(seconds))} seconds"
