"""Compression codecs as objects that know their media type, so that the type can't disagree with the bytes.

All parameters that change the output are pinned here: a layer's digest must not depend on the machine's cores.
"""

from __future__ import annotations

import io
import os
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Final, Literal, Protocol, cast

import deflate
import zstandard

from assembler.errors import UsageError
from assembler.model import media

if TYPE_CHECKING:
    from typing_extensions import Buffer

CodecName = Literal["zstd", "gzip", "none"]


class Compressor(Protocol):
    """One stream. ``compress`` and ``flush`` give what is ready by then; after ``flush`` the stream is complete.

    ``flush`` does so in pieces: all that the threads still work on can be tens of megabytes.

    ``progress`` is how many bytes are compressed so far, and to how many, whether these were given out yet or not.
    """

    media_type: str

    def compress(self, data: bytes | bytearray | memoryview) -> bytes: ...

    def flush(self) -> list[bytes]: ...

    def progress(self) -> tuple[int, int]: ...


@dataclass(frozen=True, slots=True)
class Codec:
    name: CodecName
    media_type: str
    default_level: int
    levels: range


CODECS: Final[dict[str, Codec]] = {
    "zstd": Codec("zstd", media.OCI_LAYER_ZSTD, 3, range(1, 23)),
    "gzip": Codec("gzip", media.OCI_LAYER_GZIP, 6, range(1, 13)),
    "none": Codec("none", media.OCI_LAYER, 0, range(1)),
}


def compressor(
    codec: str, level: int | None = None, threads: int | None = None, file_size: int = 1 << 20
) -> Compressor:
    """A fresh compressor. ``threads`` (default: all cores) changes the speed and never the bytes.

    ``file_size`` is how many bytes the files have on average that are to be compressed, if that is known.
    """
    chosen = CODECS[codec]
    level = chosen.default_level if level is None else level
    if level not in chosen.levels:
        raise UsageError(f"{codec} has no level {level}", hint=f"It takes {chosen.levels[0]} to {chosen.levels[-1]}.")
    threads = max(1, threads or os.cpu_count() or 1)
    if codec == "zstd":
        return _Zstd(level, threads, file_size)
    if codec == "gzip":
        return _Gzip(level, threads)
    return _Plain()


class _Plain:
    media_type = media.OCI_LAYER

    def __init__(self) -> None:
        self._size = 0

    def compress(self, data: bytes | bytearray | memoryview) -> bytes:
        self._size += len(data)
        return bytes(data)

    def flush(self) -> list[bytes]:
        return []

    def progress(self) -> tuple[int, int]:
        return self._size, self._size


_LARGEST_WINDOW_LOG: Final = 23
"""8 MiB, the most that RFC 8878 asks every decoder for. Levels from 20 on would take up to 128."""

_SMALL: Final = 8 << 10
"""Bytes. To open and read a smaller file takes longer than to compress it, so compression has time to look farther:
with 8 MiB of window and larger tables (8 and 1 MiB at level 3), 300,000 files of 1.3 KB take 30 % less than with the
level's own. Larger files would be 0.5 to 1.5 % smaller for up to 20 % more of the processor: that is what levels are
for.

Levels 3 and 4 alone gain from twice the window and half the table of short matches, which then stays in the processor's
cache: 0.3 to 0.7 % smaller for 2 to 5 % less of the processor (toolchain and NVIDIA's drivers, /usr/share, /usr/lib).
"""

_JOB_SIZE: Final = 8 << 20
"""What one thread compresses at a time. zstd's own choice of four windows is no faster and takes 180 MB more."""

_HIGHEST_WITH_JOBS: Final = 12
"""Above, a job starts with so much of the one before it that small jobs would do the work twice."""


class _Zstd:
    """One frame with a content checksum, no leading skippable frame (podman 4.3.1 refuses it), no announced size.

    Even one thread goes through the multi-threaded path (``threads >= 1``): its bytes are the same for any number of
    threads, and differ from those of ``threads=0`` (measured with libzstd 1.5.7).
    """

    media_type = media.OCI_LAYER_ZSTD

    def __init__(self, level: int, threads: int, file_size: int) -> None:
        own = zstandard.ZstdCompressionParameters.from_level(level)
        wider = {"window_log": min(own.window_log, _LARGEST_WINDOW_LOG)}
        if level <= _HIGHEST_WITH_JOBS:
            wider["job_size"] = _JOB_SIZE
            if file_size < _SMALL:
                more, shorter = (4, 2) if own.strategy == zstandard.STRATEGY_DFAST else (1, 1)
                tables = {"hash_log": own.hash_log + more, "chain_log": own.chain_log + shorter}
                wider |= {"window_log": _LARGEST_WINDOW_LOG, **tables}
            elif own.strategy == zstandard.STRATEGY_DFAST:
                wider |= {"window_log": own.window_log + 1, "chain_log": own.chain_log - 1}
        parameters = zstandard.ZstdCompressionParameters.from_level(
            level, threads=threads, write_checksum=True, **wider
        )
        self._compressor = zstandard.ZstdCompressor(compression_params=parameters)
        # Not compressobj, which makes longer and longer strings of 128 KiB pieces: 130 MB more memory, 20 % more time.
        self._ready = _Pieces()
        self._stream = self._compressor.stream_writer(cast("IO[bytes]", self._ready), write_size=1 << 20, closefd=False)

    def compress(self, data: bytes | bytearray | memoryview) -> bytes:
        self._stream.write(data)
        return b"".join(self._ready.take())  # one piece as a rule, which is not copied

    def flush(self) -> list[bytes]:
        self._stream.flush(zstandard.FLUSH_FRAME)
        return self._ready.take()

    def progress(self) -> tuple[int, int]:
        _, consumed, produced = self._compressor.frame_progression()
        return consumed, produced


class _Pieces(io.RawIOBase):
    """What a stream wrote since it was last asked."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def write(self, data: Buffer, /) -> int:
        assert isinstance(data, bytes)  # nothing else comes from zstandard
        self._pieces.append(data)
        return len(data)

    def take(self) -> list[bytes]:
        taken, self._pieces = self._pieces, []
        return taken


class _Gzip:
    """Gzip members of 1 MiB each, compressed side by side; a gzip file is a series of members (RFC 1952, 2.2).

    Against one member by zlib-ng, as pigz writes it with zlib: three quarters of the time and 1.5 % smaller, as
    libdeflate looks at a block as a whole. Its bytes are the same on processors with and without SSE4, AVX2 and AVX-512
    (measured; igzip's are not). The block size is part of the format that we promise.
    """

    media_type = media.OCI_LAYER_GZIP

    BLOCK: Final = 1 << 20

    def __init__(self, level: int, threads: int) -> None:
        self._level = level
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="gzip")
        self._most = 2 * threads
        self._running: deque[Future[bytearray]] = deque()
        self._pending = bytearray()
        self._done = (0, 0)

    def compress(self, data: bytes | bytearray | memoryview) -> bytes:
        self._pending += data
        while len(self._pending) >= self.BLOCK:
            self._start(bytes(self._pending[: self.BLOCK]))
            del self._pending[: self.BLOCK]
        return self._finished(self._most)

    def flush(self) -> list[bytes]:
        if self._pending or self._done == (0, 0):
            self._start(bytes(self._pending))
        rest = self._finished(0)
        self._pool.shutdown()
        return [rest]

    def progress(self) -> tuple[int, int]:
        return self._done

    def _start(self, block: bytes) -> None:
        self._running.append(self._pool.submit(deflate.gzip_compress, block, self._level))

    def _finished(self, leave: int) -> bytes:
        """The members that are ready, in order; waits until at most ``leave`` are still running."""
        members = []
        while self._running and (len(self._running) > leave or self._running[0].done()):
            members.append(self._running.popleft().result())
        ready = b"".join(members)
        self._done = (self._done[0] + len(members) * self.BLOCK, self._done[1] + len(ready))
        return ready
