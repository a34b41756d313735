"""What a compression of layers is to the rest of imgasm."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable


class Compressor(Protocol):
    """One stream. ``compress`` and ``flush`` give what is ready by then; after ``flush`` the stream is complete.

    ``flush`` does so in pieces: all that the threads still work on can be tens of megabytes.

    ``progress`` is how many bytes are compressed so far, and to how many, whether these were given out yet or not.
    """

    media_type: str

    def compress(self, data: bytes | bytearray | memoryview) -> bytes: ...

    def flush(self) -> list[bytes]: ...

    def progress(self) -> tuple[int, int]: ...


class Decoder(Protocol):
    """Of one gzip member or zstd frame. What follows it is in ``unused_data``."""

    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, /) -> bytes: ...


class Oddities:
    """What imgasm reads, and stricter readers do not take, or a digest should not depend on.

    ``zeros`` counts those between and behind members, which only gzip itself ignores. With ``starts_oddly`` the first
    bytes hide from some readers what the stream is. ``window`` is the largest that a frame needs, in bytes.
    ``is_dated`` says that a header has a time, a name or a comment.
    """

    def __init__(self, *, starts_oddly: bool = False) -> None:
        self.starts_oddly = starts_oddly
        self.zeros = 0
        self.window = 0
        self.is_dated = False


@dataclass(frozen=True, slots=True)
class Codec:
    """``suffix`` ends OCI's media types, ``docker_suffix`` those of Docker's manifests; None where these know none.

    ``levels`` is empty for a codec without any; ``default_level`` is then 0. ``heavy_level`` is the first that is
    seldom worth its memory.

    ``is_start`` tells the codec by a stream's first four bytes. ``compressor`` takes level, threads (at least 1), and
    the average size of the files in bytes. ``decoder`` takes a member's first 18 bytes, which it only looks at, and
    notes what it finds odd; it is None where the bytes are plain already. ``errors`` are a decoder's for damage.
    """

    name: str
    suffix: str
    docker_suffix: str | None
    levels: range
    default_level: int
    is_start: Callable[[bytes], bool]
    is_odd_start: Callable[[bytes], bool]
    compressor: Callable[[int, int, int], Compressor]
    decoder: Callable[[bytes, Oddities], Decoder] | None
    errors: tuple[type[Exception], ...] = ()
    heavy_level: int | None = None


def never(head: bytes) -> bool:
    return False
