"""Plain tars."""

from __future__ import annotations

from typing import Final

from assembler.layer.codecs.codec import Codec, never
from assembler.model import media_types


class PlainCompressor:
    media_type = media_types.OCI_LAYER

    def __init__(self) -> None:
        self._size = 0

    def compress(self, data: bytes | bytearray | memoryview) -> bytes:
        self._size += len(data)
        return bytes(data)

    def flush(self) -> list[bytes]:
        return []

    def progress(self) -> tuple[int, int]:
        return self._size, self._size


CODEC: Final = Codec(
    name="none",
    suffix="",
    docker_suffix="",
    levels=range(0),
    default_level=0,
    is_start=never,
    is_odd_start=never,
    compressor=lambda level, threads, file_size: PlainCompressor(),
    decoder=None,
)
