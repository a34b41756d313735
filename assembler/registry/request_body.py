"""A request's body: a part of something that can be read more than once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx

from assembler.errors import RegistryError

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterator

    from assembler.registry.blob_source import BlobSource


class Cancelled(RegistryError):
    """Another blob failed, or the user pressed Ctrl-C; never shown, because that other thing is."""


class Body(httpx.SyncByteStream):
    """``length`` bytes of ``source`` from ``offset`` on, read again for every sending.

    An open file given to httpx would be measured from its start and could not be sent again after a 307; a generator
    can be sent only once. ``sent`` is told every number of bytes handed to the socket, and their negative sum when the
    body starts over.
    """

    def __init__(
        self, source: BlobSource, offset: int, length: int, sent: Callable[[int], None], stop: threading.Event
    ) -> None:
        self.source = source
        self.offset = offset
        self.length = length
        self._sent = sent
        self._stop = stop
        self._position = 0

    def __iter__(self) -> Iterator[bytes]:
        if self._position:
            self._sent(-self._position)
            self._position = 0
        for piece in self.source.read(self.offset, self.length):
            if self._stop.is_set():
                raise Cancelled("The upload was cancelled")
            self._position += len(piece)
            self._sent(len(piece))
            yield piece
