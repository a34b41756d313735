"""One blob's way into a repository: found there, mounted from another, or sent; and what is done when sending fails.

A failed body is never sent again to the same Location: after a cut, distribution 2.8 answers everything on that session
with 404, and Azure with 416. The registry is asked whether the blob arrived after all, then how much of it, and if it
does not know, the blob starts again in a new session.
"""

from __future__ import annotations

import enum
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from assembler.errors import RegistryError
from assembler.registry.request_body import Body
from assembler.registry.responses import Refused
from assembler.registry.unreachable import Unreachable

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Sequence

    from assembler.model.descriptor import Descriptor
    from assembler.registry.blob_source import BlobSource
    from assembler.registry.repository import Repository, Upload
    from assembler.registry.retry import Trial
    from assembler.registry.upload_journal import Journal


class BlobOutcome(enum.Enum):
    FOUND = "found"
    MOUNTED = "mounted"
    SENT = "sent"


@dataclass(frozen=True, slots=True)
class BlobResult:
    """``sent`` counts every byte of the blob that was sent, also failed ones; ``kept`` those that a broken upload had
    left in the registry and that were not sent again; ``host`` is where the bytes went."""

    descriptor: Descriptor
    way: BlobOutcome
    sent: int = 0
    kept: int = 0
    host: str | None = None


class _Form(enum.Enum):
    PUT = "one PUT with the whole blob"
    PATCH = "one PATCH with the whole blob, and an empty PUT"
    CHUNKS = "a PATCH for each chunk, and an empty PUT"


_REMEDIES: Final = {"token": 1, "session": 3, "digest": 1, "form": 1}
"""How often each may be tried for one blob."""

_SHORT_CHUNKS: Final = 10
"""How often a registry may say that it took less of a chunk than was sent."""


def find_or_mount(
    repository: Repository, blob: Descriptor, sources: Sequence[tuple[Repository, Repository]]
) -> BlobResult | Upload | None:
    """The blob without sending it; else the session that a refused mount opened, or None.

    ``sources`` are pairs: the repository that may hold the blob, and the target with the right to read that one.
    Asking the source first costs a request, and leaves no orphaned session where the source does not have the blob.
    """
    if repository.has_blob(blob):
        return BlobResult(blob, BlobOutcome.FOUND)
    for source, target in sources:
        try:
            if source.has_blob(blob):
                upload = target.mount_blob(blob.digest, source.name)
                return upload or BlobResult(blob, BlobOutcome.MOUNTED)
        except RegistryError:
            continue  # a mount is a courtesy: whatever is said against it, the blob can still be sent
    return None


@dataclass(frozen=True, slots=True)
class Sending:
    """What the uploads of one push share: where to, when to stop, where open ones are noted, how large pieces are.

    ``chunk_size`` None is each blob in one piece.
    """

    repository: Repository
    stop: threading.Event
    journal: Journal
    chunk_size: int | None = None


class BlobUpload:
    """One blob that has to be sent. ``advance`` is told progress in bytes, negative when a start is made again."""

    def __init__(self, blob: Descriptor, source: BlobSource, sending: Sending, advance: Callable[[int], None]) -> None:
        self._repository = sending.repository
        self._blob = blob
        self._source = source
        self._advance = advance
        self._stop = sending.stop
        self._journal = sending.journal
        self._chunk_size = sending.chunk_size
        self._form = _Form.CHUNKS if sending.chunk_size else _Form.PUT
        self._used: Counter[str] = Counter()
        self._session: Upload | None = None
        self._offset = 0  # where the next body starts
        self._position = 0  # what progress shows
        self._sent = 0
        self._kept = 0

    def run(self, session: Upload | None = None) -> BlobResult:
        """``session``: one that is open already, and may hold bytes."""
        trial = self._repository.patience.trial(f"The upload of {self._blob.digest}")
        if session is not None and not self._go_on(session):
            self._session = session
        while True:
            trial.begin(self._offset)
            current = self._session = self._session or self._repository.start_upload()
            self._journal.note(self._blob.digest, current, self._offset)
            try:
                self._send(current)
                break
            except (Refused, Unreachable) as error:
                if self._arrived(error):
                    break
                self._remedy(error, trial)
                self._pick_up(error)
        self._journal.forget(self._blob.digest)
        self._move_to(self._blob.size)
        return BlobResult(self._blob, BlobOutcome.SENT, self._sent, self._kept, current.location.host)

    # -- sending -------------------------------------------------------------------------------------------------------

    def _send(self, session: Upload) -> None:
        if self._form is _Form.PUT and not self._offset:
            self._repository.send_blob(session, self._blob.digest, self._body(self._blob.size))
            return
        if self._form is _Form.PATCH and not self._offset:
            self._session = self._repository.append(session, self._body(self._blob.size), with_range=False)
        else:
            self._send_chunks(session)
        self._repository.commit(self._session or session, self._blob.digest)

    def _send_chunks(self, session: Upload) -> None:
        short = 0
        while self._offset < self._blob.size:
            end = min(self._blob.size, self._offset + self._chunk(session))
            session = self._repository.append(session, self._body(end - self._offset), with_range=True)
            taken = self._taken(session.held, end)
            short += taken < end
            if short > _SHORT_CHUNKS:
                raise RegistryError(f"{session.location.host} accepts only a part of each chunk",
                                    hint="Try without --chunk-size.")
            self._session, self._offset = session, taken
            self._journal.note(self._blob.digest, session, taken)
            self._move_to(taken)

    def _chunk(self, session: Upload) -> int:
        return max(self._chunk_size or self._blob.size, session.chunk_min)

    def _taken(self, held: int | None, end: int) -> int:
        """How far the registry is. Many say nothing or nonsense about it: then the digest will tell."""
        if held is None or not self._offset <= held <= end:
            return end
        return held

    def _body(self, length: int) -> Body:
        return Body(self._source, self._offset, length, self._count, self._stop)

    def _count(self, amount: int) -> None:
        self._sent += max(amount, 0)
        self._position += amount
        self._advance(amount)

    def _move_to(self, position: int) -> None:
        self._advance(position - self._position)
        self._position = position

    # -- after a failure -----------------------------------------------------------------------------------------------

    def _arrived(self, error: Refused | Unreachable) -> bool:
        """An answer that was lost, or a proxy's 504, looks like a failure; the blob may be there nevertheless."""
        return error.temporary and self._repository.has_blob(self._blob)

    def _remedy(self, error: Refused | Unreachable, trial: Trial) -> None:
        """Returns when another try makes sense, after the pause it needs; raises ``error`` when none does."""
        remedy = self._find_remedy(error) if isinstance(error, Refused) else None
        if remedy is None:
            trial.failed(error)
            return
        self._used[remedy] += 1
        if self._used[remedy] > _REMEDIES[remedy]:
            raise error
        if remedy == "digest":
            self._source.check(self._blob.digest)
        if remedy == "form":
            self._form = _Form.PATCH
        trial.pause(error)

    def _find_remedy(self, error: Refused) -> str | None:
        if error.status == 401:
            return "token"
        if error.status == 416 or error.codes & {"BLOB_UPLOAD_UNKNOWN", "BLOB_UPLOAD_INVALID"}:
            return "session"
        if error.codes & {"DIGEST_INVALID", "SIZE_INVALID"}:
            return "digest"
        refuses_form = error.status in (404, 405, 411, 501) and "NAME_UNKNOWN" not in error.codes
        return "form" if self._form is _Form.PUT and refuses_form else None

    def _pick_up(self, error: Refused | Unreachable) -> None:
        """Goes on where the registry is, if a cut connection left a session that it can still tell about."""
        broken, self._session = self._session, None
        if broken is not None and isinstance(error, Unreachable):
            status = self._repository.upload_status(broken)
            if status is not None and self._go_on(status):
                return
            self._repository.cancel(broken)
        self._offset = 0
        self._kept = 0
        self._move_to(0)

    def _go_on(self, session: Upload) -> bool:
        """Takes up a session at the byte that it waits for; False when that can't be told."""
        held = session.held or 0
        if not held or held > self._blob.size:
            return False
        self._session, self._offset = session, held
        self._kept += held
        self._move_to(held)
        return True
