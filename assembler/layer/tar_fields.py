"""The fields of a tar member as they are read: numbers in octal or base-256, PAX records (POSIX.1-2017, pax).

Stricter than most readers on purpose: what two readers could understand in two ways is refused.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from assembler.errors import ImageError

XATTR: Final = b"SCHILY.xattr."
_SPARSE: Final = b"GNU.sparse."
_MTIME: Final = re.compile(rb"(-?)(\d{1,18})(?:\.(\d*))?")
_LARGEST: Final = (1 << 63) - 1

Records = dict[bytes, bytes]
"""PAX records of one member; an empty value means that the record is withdrawn."""


def damaged(what: str) -> ImageError:
    return ImageError(f"The tar archive is damaged: {what}", hint="Make or fetch it again; it can't be trusted.")


@lru_cache(maxsize=4096)
def number(field: bytes) -> int:
    """A header's number: octal digits between spaces and NULs, or base-256 when the first bit is set."""
    digits = field.strip(b" \0")
    if digits.isdigit():
        try:
            return int(digits, 8)
        except ValueError:
            raise damaged(f"{field!r} is not an octal number") from None
    if not digits:
        return 0
    return _base256(field)


def _base256(field: bytes) -> int:
    if field[0] not in (0x80, 0xFF):
        raise damaged(f"{field!r} is not a number")
    value = int.from_bytes(field[1:], "big") - (1 << 8 * (len(field) - 1) if field[0] == 0xFF else 0)
    if not -_LARGEST <= value <= _LARGEST:
        raise damaged("a number does not fit into 64 bits")
    return value


def parse_records(data: bytes, into: Records | None = None) -> Records:
    """``<length> <key>=<value>\\n``, repeated; the length counts itself. A later record of the same key wins.

    ``into`` also gets what was read before an error.
    """
    records: Records = {} if into is None else into
    at = 0
    while at < len(data):
        space = data.find(b" ", at, at + 21)
        digits = data[at:space]
        if space < 0 or not digits.isdigit():
            raise damaged("a PAX record has no length")
        end = at + int(digits)
        key, equals, value = data[space + 1 : end - 1].partition(b"=")
        if end > len(data) or end <= space + 1 or data[end - 1] != 0x0A or not equals or not key:
            raise damaged("a PAX record is malformed")
        records[key] = value
        at = end
    if any(key.startswith(_SPARSE) for key in records):
        raise sparse()
    return records


def sparse() -> ImageError:
    return ImageError("The tar archive holds a sparse file, which image layers should not (image-spec layer.md)",
                      hint="Write the archive again without tar's --sparse option.")


def text(records: Records, key: bytes, header: bytes) -> bytes:
    """A path-like field: the record's value where there is one, else the header's."""
    value = records.get(key) or header
    if b"\0" in value:
        raise damaged(f"the {key.decode()} of a member holds a NUL byte")
    return value


def count(records: Records, key: bytes, header: bytes) -> int:
    """A size or an id: not negative, at most 63 bits."""
    value = records.get(key)
    if not value:
        result = number(header)
    elif value.isdigit() and len(value) < 20:
        result = int(value)
    else:
        raise damaged(f"{value[:40]!r} is not a value for {key.decode()}")
    if not 0 <= result <= _LARGEST:
        raise damaged(f"{result} is not a value for {key.decode()}")
    return result


def seconds(records: Records, header: bytes) -> int:
    """The mtime, floored to whole seconds (trap 21)."""
    value = records.get(b"mtime")
    if not value:
        return number(header)
    match = _MTIME.fullmatch(value)
    if match is None:
        raise damaged(f"{value[:40]!r} is not a time")
    sign, whole, fraction = match.groups()
    if not sign:
        return int(whole)
    return -int(whole) - (1 if (fraction or b"").strip(b"0") else 0)
