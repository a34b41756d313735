"""What a file is, by its name and its first bytes: coarse, for people who wonder where the megabytes went."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

HEAD: Final = 262
"""Bytes that :func:`kind_of` wants to see: up to tar's "ustar" at 257."""

_BY_ENDING: Final = {
    ending: kind
    for kind, endings in {
        "source": b"h c hpp hh cpp cc cxx py pyi pl pm js mjs ts rs go s S java rb lua el",
        "text": b"txt md rst html htm xml json yaml yml toml ini conf cfg list md5sums csv css svg po",
        "archive": b"gz xz zst bz2 lz4 zip whl jar deb rpm tgz txz",
        "static library": b"a",
        "bytecode": b"pyc class",
        "translation": b"mo",
        "picture": b"png jpg jpeg gif webp ico",
        "font": b"ttf otf pcf woff2",
    }.items()
    for ending in endings.split()
}
_BY_START: Final = (
    (b"\x1f\x8b", "archive"),
    (b"BZh", "archive"),
    (b"\xfd7zXZ\x00", "archive"),
    (b"\x28\xb5\x2f\xfd", "archive"),
    (b"PK\x03\x04", "archive"),
    (b"7z\xbc\xaf", "archive"),
    (b"!<arch>\n", "static library"),
    (b"#!", "script"),
    (b"\x89PNG", "picture"),
    (b"\xff\xd8\xff", "picture"),
    (b"GIF8", "picture"),
    (b"SQLite format 3\x00", "database"),
    (b"%PDF", "document"),
    (b"\xd0\x0d\xfe\xed", "device tree"),
)
_COMPRESSED: Final = (b".gz", b".xz", b".zst", b".bz2")


def kind_of(path: bytes, head: Callable[[], bytes]) -> str:
    """``head`` reads the file's first :data:`HEAD` bytes; it is not called where the name is good enough."""
    name = path.rpartition(b"/")[2]
    if name.endswith(_COMPRESSED) and name.rpartition(b".")[0].endswith(b".ko"):
        return "kernel module"
    stem, _, ending = name.rpartition(b".")
    known = _BY_ENDING.get(ending) if stem else None
    return known or _by_start(ending, head())


def _by_start(ending: bytes, start: bytes) -> str:
    if start.startswith(b"\x7fELF"):
        return {b"ko": "kernel module", b"o": "object file"}.get(ending, "ELF")
    if start[257:262] == b"ustar":
        return "archive"
    for magic, kind in _BY_START:
        if start.startswith(magic):
            return kind
    return "data" if b"\x00" in start else "text"
