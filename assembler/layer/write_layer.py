"""The single pass: entries become tar bytes, and these at once a diff_id, a compressed blob and its digest.

Four threads share the work on a ring of 1 MiB chunks, so memory doesn't grow with the layer: this thread reads files,
one hashes the tar, one compresses it, one hashes what comes out and hands it to the sink, so that a slow disk holds up
nobody but itself. hashlib, zstandard and the system calls all release the interpreter's lock.
"""

from __future__ import annotations

import hashlib
import os
import threading
from array import array
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from queue import SimpleQueue
from typing import TYPE_CHECKING, Final, Generic, Protocol, TypeVar

from assembler.errors import ChangesetError
from assembler.layer.many_files import pack
from assembler.layer.tar_header import BLOCK, END, header, padding
from assembler.model.descriptor import Descriptor
from assembler.model.digest import Digest
from assembler.model.node import shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from assembler.layer.codecs.codec import Compressor
    from assembler.layer.entry import Entry
    from assembler.model.node import Content

LAYER_FORMAT: Final = 2
"""Another number when the same tree and settings make other bytes: what stands from before is something else then."""

CHUNK: Final = 1 << 20
_AHEAD: Final = 4
"""Chunks that a stage can be behind."""
_BATCH: Final = 1024
"""Entries of which plain files are read together."""
_READ: Final = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW
_ZEROS: Final = bytes(BLOCK)


T = TypeVar("T")


class Sink(Protocol):
    def write(self, data: bytes, /) -> object: ...


@dataclass(frozen=True, slots=True)
class Layer:
    """``descriptor`` is of the compressed blob; ``diff_id`` and ``size`` (bytes) of the uncompressed tar.

    ``ends`` is where each entry ends in the tar. ``marks`` are (bytes of the tar, bytes of the blob) that the
    compressor was done with at some moments, the last being all: from these two follows what each file takes of it.
    """

    descriptor: Descriptor
    diff_id: Digest
    size: int
    entries: int
    ends: array[int]
    marks: tuple[tuple[int, int], ...]


def write_layer(
    entries: Iterable[Entry],
    sink: Sink,
    compressor: Compressor,
    *,
    advance: Callable[[int], object] = int,
) -> Layer:
    """Writes ``entries`` in the order given and returns what became of them.

    ``advance`` is called with each number of tar bytes that were read. Raises ChangesetError when a file is not what
    its entry says. What the sink raises is raised here.
    """
    plain, blob = hashlib.sha256(), _Blob(sink)
    storing = _Stage("store", blob.add, ahead=4)
    squeeze = _Squeeze(compressor, storing.put)
    hashing, compressing = _Stage("diff_id", plain.update), _Stage("compress", squeeze.add)
    stages = (hashing, compressing, storing)
    chunks = _Chunks((hashing.put, compressing.put, lambda chunk: advance(len(chunk))))
    ends = array("q")
    try:
        for some in _batches(entries):
            chunks.add_entries(some, ends)
        chunks.add(END)
        chunks.flush()
        compressing.end()
        compressing.check()
        squeeze.finish()
    finally:
        for stage in stages:
            stage.end()
    for stage in stages:
        stage.check()
    descriptor = Descriptor(compressor.media_type, Digest("sha256", blob.sha256.hexdigest()), blob.size)
    marks = (*squeeze.marks, (chunks.total, blob.size))
    return Layer(descriptor, Digest("sha256", plain.hexdigest()), chunks.total, len(ends), ends, marks)


class _Squeeze:
    """Gives the compressor's output to ``receive``, and remembers how far it was."""

    def __init__(self, compressor: Compressor, receive: Callable[[bytes], object]) -> None:
        self._compressor = compressor
        self._receive = receive
        self.marks = [(0, 0)]

    def add(self, chunk: memoryview) -> None:
        self._hand_on(self._compressor.compress(chunk))
        progress = self._compressor.progress()
        if progress != self.marks[-1]:
            self.marks.append(progress)

    def finish(self) -> None:
        for piece in self._compressor.flush():
            self._hand_on(piece)

    def _hand_on(self, data: bytes) -> None:
        if data:
            self._receive(data)


class _Blob:
    """What leaves the compressor: counted, hashed and handed to the sink."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self.sha256 = hashlib.sha256()
        self.size = 0

    def add(self, data: bytes) -> None:
        self.sha256.update(data)
        self.size += len(data)
        self._sink.write(data)


_Receiver = Callable[[memoryview], object]


class _Chunks:
    """Gathers headers and contents into chunks of 1 MiB, so that small files cost no queue traffic of their own.

    Receivers are done with a chunk before they take one that comes more than ``_AHEAD`` after it: so many buffers and
    one more are filled in turn. A fresh one each time would be zeroed by Python and by the kernel first.
    """

    def __init__(self, receivers: tuple[_Receiver, ...]) -> None:
        self._receivers = receivers
        self._ring: deque[memoryview] = deque()
        self._view = self._next()
        self._used = 0
        self.total = 0

    def add(self, data: bytes) -> None:
        end = self._used + len(data)
        if end <= CHUNK:
            self._view[self._used : end] = data
            self._advance(len(data))
        else:
            room = CHUNK - self._used
            self.add(data[:room])
            self.add(data[room:])

    def add_entries(self, entries: tuple[Entry, ...], ends: array[int]) -> None:
        """``ends`` gets the total after each."""
        done = 0
        while done < len(entries):
            if packed := pack(entries, done, self._view[self._used :]):
                ends.extend([self.total + end for end in packed])
                done += len(packed)
                self._advance(packed[-1])
                continue
            self._add_entry(entries[done])
            ends.append(self.total)
            done += 1

    def _add_entry(self, entry: Entry) -> None:
        self.add(header(entry))
        path, node, _, content = entry
        if content is not None:
            assert node is not None
            self._add_file(content, node.size, path)

    def _add_file(self, content: Content, size: int, path: bytes) -> None:
        file, offset = content
        try:
            descriptor = os.open(file, _READ)
        except OSError as error:
            raise _changed(f"{shown(path)} can't be read any more: {error.strerror}") from error
        try:
            if offset:
                os.lseek(descriptor, offset, os.SEEK_SET)
            left = size
            while left:
                got = os.readv(descriptor, (self._view[self._used : self._used + left],))
                if not got:
                    raise _changed(f"{shown(path)} became {left} bytes shorter while it was read")
                left -= got
                self._advance(got if left else got + self._pad(self._used + got, padding(size)))
        finally:
            os.close(descriptor)

    def _pad(self, at: int, amount: int) -> int:
        # A chunk holds whole blocks, so the padding of what fits into it does too.
        self._view[at : at + amount] = _ZEROS[:amount]
        return amount

    def flush(self) -> None:
        if self._used:
            chunk = self._view[: self._used]
            for receive in self._receivers:
                receive(chunk)
            self._view = self._next()
            self._used = 0

    def _next(self) -> memoryview:
        view = self._ring.popleft() if len(self._ring) > _AHEAD else memoryview(bytearray(CHUNK))
        self._ring.append(view)
        return view

    def _advance(self, amount: int) -> None:
        self._used += amount
        self.total += amount
        if self._used == CHUNK:
            self.flush()


def _batches(entries: Iterable[Entry]) -> Iterator[tuple[Entry, ...]]:
    rest = iter(entries)
    while some := tuple(islice(rest, _BATCH)):
        yield some


def _changed(what: str) -> ChangesetError:
    return ChangesetError(what, hint="A process in the container still writes: end what the steps left running.")


class _Stage(Generic[T]):
    """A thread that does one thing to each chunk. After a failure it only drains, so that nobody waits for it.

    Of two queues one holds the chunks, the other a token for each that may still come: unlike a queue with a bound it
    counts a chunk until the work on it is done, and it is written in C.
    """

    def __init__(self, name: str, work: Callable[[T], object], ahead: int = _AHEAD) -> None:
        self._chunks: SimpleQueue[T | None] = SimpleQueue()
        self._room: SimpleQueue[None] = SimpleQueue()
        for _ in range(ahead):
            self._room.put(None)
        self._work = work
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name=f"layer-{name}", daemon=True)
        self._thread.start()

    def put(self, chunk: T) -> None:
        self._room.get()
        self.check()
        self._chunks.put(chunk)

    def end(self) -> None:
        """Waits for the last chunk. A second call does no harm."""
        self._chunks.put(None)
        self._thread.join()

    def check(self) -> None:
        """Raises what went wrong, if something did."""
        if self._failure:
            raise self._failure

    def _run(self) -> None:
        while (chunk := self._chunks.get()) is not None:
            if self._failure is None:
                try:
                    self._work(chunk)
                except BaseException as failure:
                    self._failure = failure
            self._room.put(None)
