"""Sizes as people read and write them: "46.3 MB", "60MiB".

One MB is a million bytes everywhere in imgasm, as it is for registries, disks and the tools people compare with.
"""

from __future__ import annotations

import re
from typing import Final

_UNITS: Final = ("B", "kB", "MB", "GB", "TB", "PB")
_SIZE: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?) ?([kKMGT]i?|)B")
_FACTORS: Final = {
    "": 1,
    "k": 1000, "K": 1000, "M": 1000**2, "G": 1000**3, "T": 1000**4,
    "ki": 1024, "Ki": 1024, "Mi": 1024**2, "Gi": 1024**3, "Ti": 1024**4,
}


def human(size: int) -> str:
    """``size`` bytes in three significant digits: ``0 B``, ``999 B``, ``1.00 kB``, ``46.3 MB``, ``-766 MB``."""
    sign, value = "-" if size < 0 else "", float(abs(size))
    if value < 1000:
        return f"{sign}{value:.0f} B"
    power = 0
    while value >= 999.5 and power < len(_UNITS) - 1:
        value, power = value / 1000, power + 1
    digits = 2 if value < 9.995 else 1 if value < 99.95 else 0
    return f"{sign}{value:.{digits}f} {_UNITS[power]}"


def parse_size(text: str) -> int:
    """Bytes. MB is a million bytes, MiB is 2**20. Raises ValueError: only the caller knows which option it was."""
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise ValueError(f'{text!r} is not a size; write it as "60MB", "60MiB" or "1000B"')
    number, factor = match.groups()
    return round(float(number) * _FACTORS[factor])
