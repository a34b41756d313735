"""Durations as people write them."""

from __future__ import annotations

import re
from typing import Final

_DURATION: Final = re.compile(r"(?:([0-9]+)h)?(?:([0-9]+)m)?(?:([0-9]+)s)?")


def parse_duration(text: str) -> float:
    """Seconds. Raises ValueError: only the caller knows which option it was."""
    match = _DURATION.fullmatch(text.strip())
    if match is None or not any(match.groups()):
        raise ValueError(f'{text!r} is not a duration; write it as "30m", "1h30m" or "90s"')
    hours, minutes, seconds = (float(part or 0) for part in match.groups())
    return hours * 3600 + minutes * 60 + seconds
