"""Why two builds of one recipe differ, guessed from what differs: the causes that reproducible-builds.org collects."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from assembler.layer.compare_layers import Difference, Excerpts

_DATE: Final = re.compile(
    rb"\d\d:\d\d|\d{4}-\d\d-\d\d|\d\d[./]\d\d[./]\d\d|\b1[5-9]\d{8}\b"
    rb"|\b(Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[a-z]* +\d"
)
_TEMPORARY: Final = re.compile(rb"tmp[./]|\btmp\w{4,}|\.[A-Za-z0-9]{6}\b")
_CONTAINER: Final = re.compile(rb"\b[0-9a-f]{12}\b")
_UUID: Final = re.compile(rb"[0-9a-f]{8}-[0-9a-f]{4}-")
_DATABASES: Final = (b"var/lib/dpkg/", b"var/lib/apt/", b"lib/apk/db/", b"var/lib/rpm/", b"usr/lib/sysimage/rpm/")

TIME: Final = "time: it holds the moment at which it was made (SOURCE_DATE_EPOCH is what tools should write instead)"
CLAMP: Final = "time: source_date_epoch in the recipe keeps files from being newer than that"
ORDER: Final = "order: the same lines in another order; sort them before they are written"
PATH: Final = "path: the name of a temporary file or directory; give it a name of its own"
HOST: Final = "hostname: the container's name is another one in each build"
RANDOM: Final = "randomness: a key, a UUID, a seed or a hash that is new each time"
UMASK: Final = "umask: chmod, or install -m, says which mode is meant"
PACKAGE: Final = "package: another version came from the archive; pin it, or build from a snapshot"
DATED: Final = "time: created in the recipe, or --created, dates the image by the clock"
COMPRESSOR: Final = "compressor: another version of its library makes other bytes of the same tar"
UNKNOWN: Final = "unknown"


def likely_cause(difference: Difference) -> str:
    """One of the sentences above: a guess, and a first thing to look at."""
    path, field = difference.path, difference.field
    if path.startswith(_DATABASES):
        return PACKAGE
    if field == "mtime":
        return CLAMP
    if field == "mode":
        return UMASK
    if field == "entry":
        name = path.rpartition(b"/")[2]
        return PATH if _TEMPORARY.search(name) else RANDOM if _UUID.search(name) else UNKNOWN
    return _of_bytes(difference.bytes) if difference.bytes is not None else UNKNOWN


def _of_bytes(found: Excerpts) -> str:
    """What can be recognized without doubt comes first; randomness looks like anything."""
    if found.is_shuffled:
        return ORDER
    both = (found.former, found.now)
    if _in_header_of_gzip(found) or all(map(_DATE.search, both)):
        return TIME
    if all(map(_UUID.search, both)):
        return RANDOM
    if all(map(_TEMPORARY.search, both)):
        return PATH
    if all(_CONTAINER.fullmatch(text.strip()) for text in both):
        return HOST
    return UNKNOWN if all(text.isascii() for text in both) and not _looks_random(both) else RANDOM


def _in_header_of_gzip(found: Excerpts) -> bool:
    """RFC 1952: bytes 4 to 7 are the file's time."""
    return 4 <= found.offset < 8 and found.former.startswith(b"\x1f\x8b")


def _looks_random(texts: tuple[bytes, bytes]) -> bool:
    """A word of hex or base64 in each that the other lacks, too long to be counted up."""
    words = [set(re.findall(rb"[0-9A-Za-z+/=]{16,}", text)) for text in texts]
    return bool(words[0] - words[1]) and bool(words[1] - words[0])
