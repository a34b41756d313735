"""Connections that are cut when their time is up.

A client of HTTP bounds each read and each write, and not what many of them take together: a server that sends one byte
of a header a minute, or takes one byte of a body, holds it for ever. What is watched here are the sockets themselves,
with the system's clock: nothing else wakes a thread that waits for one.
"""

from __future__ import annotations

import socket
import threading
from contextlib import contextmanager
from time import monotonic
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakSet

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_LOOK: Final = 60.0
"""Seconds after which a deadline that is put off is looked at again."""


class Deadline:
    """Until when something must be done. ``is_over`` once it was not."""

    def __init__(self, seconds: float | None) -> None:
        self.is_over = False
        self._kept = threading.Event()
        self.put_off(seconds)

    def put_off(self, seconds: float | None) -> None:
        """To so many seconds from now, and no fewer than :data:`_LOOK` if it was None; None: nobody waits for it."""
        self._until = None if seconds is None else monotonic() + seconds

    def keep(self) -> None:
        self._kept.set()

    def watch(self, cut: Callable[[], object]) -> None:
        while not self._kept.wait(_LOOK if self._until is None else min(_LOOK, max(self._until - monotonic(), 0))):
            if self._until is not None and monotonic() >= self._until:
                self.is_over = True
                cut()
                return


class WatchedSockets:
    """All connections of one client of httpx, as far as its requests have :meth:`trace` for their ``trace`` extension.

    Which of them a request uses can't be told from outside, so all are cut together: whoever meets such a server has
    no use for the others. Thread-safe.
    """

    def __init__(self) -> None:
        self._sockets: WeakSet[socket.socket] = WeakSet()
        self._lock = threading.Lock()

    def trace(self, event: str, info: dict[str, Any]) -> None:
        """httpcore's events; these two return what is a connection from then on."""
        if event.endswith(("connect_tcp.complete", "start_tls.complete")):
            with self._lock:
                self._sockets.add(info["return_value"].get_extra_info("socket"))

    @contextmanager
    def within(self, seconds: float | None) -> Iterator[Deadline]:
        """The inside must be over, or its deadline be put off, before so many seconds have gone."""
        deadline = Deadline(seconds)
        watcher = threading.Thread(target=deadline.watch, args=(self._cut,), name="imgasm-deadline", daemon=True)
        watcher.start()
        try:
            yield deadline
        finally:
            deadline.keep()
            watcher.join()

    def _cut(self) -> None:
        with self._lock:
            sockets = list(self._sockets)
        for one in sockets:
            try:
                socket.socket.shutdown(one, socket.SHUT_RDWR)  # past TLS: its goodbye would have to wait, too
            except OSError:
                continue  # it is closed
