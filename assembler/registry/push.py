"""The order of a push: blobs (several at once), manifests (children first), tags last.

A pull in the meantime gets the old image or the new one, never a part.
"""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

from assembler.errors import RegistryError
from assembler.model.size import human
from assembler.registry.parallel import run_all
from assembler.registry.push_plan import BlobToPush, ManifestToPush, PushPlan
from assembler.registry.repository import Upload
from assembler.registry.responses import Refused
from assembler.registry.upload import BlobOutcome, BlobResult, BlobUpload, Sending, find_or_mount
from assembler.registry.upload_journal import open_journal

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from assembler.model.descriptor import Descriptor
    from assembler.model.digest import Digest
    from assembler.progress import Progress, Task
    from assembler.registry.client import RegistryClient
    from assembler.registry.repository import Repository
    from assembler.registry.upload_journal import Journal

__all__ = ["BlobToPush", "ManifestToPush", "PushOptions", "PushPlan", "PushReport", "push"]

_DIGEST: Final = re.compile(r"sha256:[a-f0-9]{64}|sha512:[a-f0-9]{128}")


@dataclass(frozen=True, slots=True)
class PushOptions:
    """``mount_from``: repositories of the same registry whose blobs may be taken over; only those that the user named.
    ``chunk_size`` in bytes: send blobs in pieces of that size; None sends each in one piece.
    ``journal``: the file that keeps open uploads for a process that comes after this one; None keeps nothing."""

    mount_from: tuple[str, ...] = ()
    chunk_size: int | None = None
    journal: Path | None = None
    workers: int = 4


@dataclass(frozen=True, slots=True)
class PushReport:
    """``manifests`` counts the requests that stored a manifest or tag; ``tags`` all that lead to the image now."""

    registry: str
    repository: str
    digest: Digest
    tags: tuple[str, ...]
    blobs: tuple[BlobResult, ...]
    manifests: int

    @property
    def sent(self) -> int:
        """Bytes of blobs that went over the wire, also failed ones."""
        return sum(blob.sent for blob in self.blobs)

    @property
    def kept(self) -> int:
        """Bytes that a broken upload had left in the registry and that were not sent again."""
        return sum(blob.kept for blob in self.blobs)

    def count(self, way: BlobOutcome) -> int:
        return sum(blob.way is way for blob in self.blobs)


def push(
    client: RegistryClient, repository: str, plan: PushPlan, progress: Progress, options: PushOptions | None = None
) -> PushReport:
    """Puts ``plan`` into ``repository``; what is there already is not sent. Raises RegistryError and ImageError."""
    digest = plan.manifests[-1].descriptor.digest if plan.manifests else None
    options = options or PushOptions()
    with open_journal(options.journal, client.wire.origin, repository) as journal:
        work = _Push(_target(client, repository, options.mount_from), plan.checked(), progress, options, journal)
        blobs = work.put_blobs()
        stored = work.put_manifests() + work.put_tags()
    tags = tuple(tag for manifest in plan.manifests for tag in manifest.tags)
    assert digest is not None  # an empty plan did not pass the check
    return PushReport(client.registry, repository, digest, tags, tuple(blobs), stored)


class _Target(NamedTuple):
    """The repository, and those to mount blobs from: each with the target as it is with the right to read that one."""

    repository: Repository
    sources: list[tuple[Repository, Repository]]


def _target(client: RegistryClient, repository: str, mount_from: Iterable[str]) -> _Target:
    return _Target(
        client.repository(repository, push=True),
        [
            (client.repository(source), client.repository(repository, push=True, sources=[source]))
            for source in mount_from
            if source != repository
        ],
    )


class _Push:
    """The steps of one push, over what they share."""

    def __init__(
        self, target: _Target, plan: PushPlan, progress: Progress, options: PushOptions, journal: Journal
    ) -> None:
        self._journal = journal
        self._plan = plan
        self._progress = progress
        self._options = options
        self._stop = threading.Event()
        self._target, self._sources = target
        self._sending = Sending(self._target, self._stop, journal, options.chunk_size)

    # -- blobs ---------------------------------------------------------------------------------------------------------

    def put_blobs(self) -> list[BlobResult]:
        """First those that can't be sent: nobody should wait for an upload to hear that the rest is missing.

        Then largest first: it decides how long all of them take.
        """
        found = self._find_far([blob.descriptor for blob in self._plan.blobs if blob.source is None])
        blobs = sorted((blob for blob in self._plan.blobs if blob.source), key=lambda blob: -blob.descriptor.size)
        with self._progress.task("pushing", total=sum(blob.descriptor.size for blob in blobs)) as whole:
            jobs = [partial(self._put_blob, blob, whole) for blob in blobs]
            return found + run_all(jobs, self._options.workers, self._stop)

    def _find_far(self, blobs: list[Descriptor]) -> list[BlobResult]:
        """Blobs that must be in the repository, or be mounted. RegistryError with the size of all that can't."""
        jobs = [partial(find_or_mount, self._target, blob, self._sources) for blob in blobs]
        results = run_all(jobs, self._options.workers, self._stop)
        for session in results:
            if isinstance(session, Upload):
                self._target.cancel(session)
        far = [blob for blob, known in zip(blobs, results, strict=True) if not isinstance(known, BlobResult)]
        if far:
            raise _not_here(far, self._target.name)
        return [known for known in results if isinstance(known, BlobResult)]

    def _put_blob(self, blob: BlobToPush, whole: Task) -> BlobResult:
        known = find_or_mount(self._target, blob.descriptor, self._sources)
        if isinstance(known, BlobResult):
            whole.advance(blob.descriptor.size)
            self._journal.forget(blob.descriptor.digest)
            return known
        return self._send_blob(blob, known, whole)

    def _send_blob(self, blob: BlobToPush, session: Upload | None, whole: Task | None = None) -> BlobResult:
        source = blob.source
        assert source is not None
        with self._progress.task(_label(blob.descriptor.digest), total=blob.descriptor.size) as own:

            def advance(amount: int) -> None:
                own.advance(amount)
                if whole is not None:
                    whole.advance(amount)

            upload = BlobUpload(blob.descriptor, source, self._sending, advance)
            return self._take_up(upload, blob.descriptor, session)

    def _take_up(self, upload: BlobUpload, blob: Descriptor, session: Upload | None) -> BlobResult:
        """Goes on with what a former process left, if the registry still knows of it."""
        former = self._journal.find(blob.digest)
        if former is None:
            return upload.run(session)
        known = self._target.upload_status(former)
        if known is None or not known.held:
            self._progress.say(f"{blob.digest}: the registry kept nothing of the interrupted upload; starting again")
            self._target.cancel(known or former)
            return upload.run(session)
        if session is not None:
            self._target.cancel(session)
        self._progress.say(f"{blob.digest}: continuing at byte {known.held} of {blob.size}")
        return upload.run(known)

    # -- manifests -----------------------------------------------------------------------------------------------------

    def put_manifests(self) -> int:
        """By digest, children first; tags come last of all."""
        return sum(self._put(manifest, str(manifest.descriptor.digest)) for manifest in self._plan.manifests)

    def put_tags(self) -> int:
        return sum(self._put(manifest, tag) for manifest in self._plan.manifests for tag in manifest.tags)

    def _put(self, manifest: ManifestToPush, identifier: str) -> bool:
        """False when it is there already: where tags are immutable, even to put the same again is refused."""
        if self._target.manifest_digest(identifier) == manifest.descriptor.digest:
            return False
        try:
            self._target.put_manifest(identifier, manifest.descriptor.media_type, manifest.data)
        except Refused as error:
            if not self._bring_missing(error):
                raise
            self._target.put_manifest(identifier, manifest.descriptor.media_type, manifest.data)
        return True

    def _bring_missing(self, error: Refused) -> bool:
        """Sends again what the registry misses although it said it was there (a collector ran, a replica lags)."""
        missing = {digest for item in error.errors if "UNKNOWN" in item.code for digest in _DIGEST.findall(str(item))}
        blobs = [blob for blob in self._plan.blobs if str(blob.descriptor.digest) in missing and blob.source]
        manifests = [manifest for manifest in self._plan.manifests if str(manifest.descriptor.digest) in missing]
        for blob in blobs:
            self._progress.warn(f"{self._target.name} lost {blob.descriptor.digest}; sending it again.")
            self._send_blob(blob, None)
        for manifest in manifests:
            descriptor = manifest.descriptor
            self._target.put_manifest(str(descriptor.digest), descriptor.media_type, manifest.data)
        return bool(blobs or manifests)


def _label(digest: Digest) -> str:
    return f"{digest.algorithm}:{digest.short}"


def _not_here(blobs: list[Descriptor], repository: str) -> RegistryError:
    size = sum(blob.size for blob in blobs)
    return RegistryError(
        f"{human(size)} ({size} bytes) of the base are neither here nor in {repository}, and can't be mounted there",
        detail="\n".join(f"{blob.digest}  {blob.size} bytes" for blob in blobs),
        hint="--copy-base-layers copies them from the base's registry, as a stream.",
    )
