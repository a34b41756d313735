"""One repository of one registry, and the moves of the distribution protocol on it, each by its name.

Moves that are safe to repeat are repeated here; the three that carry a blob's bytes (``send_blob``, ``append``, and the
``commit`` after them) are tried once: what to do after their failure is :mod:`assembler.registry.upload`'s business.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from assembler.errors import ImageError, RegistryError
from assembler.image.strict_json import MANIFEST_CAP
from assembler.model import media_types
from assembler.model.digest import Digest
from assembler.registry.location import follow, with_digest
from assembler.registry.redact import redact
from assembler.registry.responses import ERROR_BODY_CAP, Refused, Reply
from assembler.registry.unreachable import Unreachable
from assembler.registry.wire import Call

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    import httpx

    from assembler.model.descriptor import Descriptor
    from assembler.registry.request_body import Body
    from assembler.registry.retry import Patience
    from assembler.registry.wire import Wire

ACCEPT_MANIFESTS: Final = ", ".join((
    media_types.OCI_MANIFEST, media_types.OCI_INDEX, media_types.DOCKER_MANIFEST, media_types.DOCKER_INDEX,
))  # fmt: skip
"""In one line: some proxies lose all Accept lines but one, and without OCI types distribution answers 404."""

_RANGE: Final = re.compile(r"(?:bytes=)?(\d*)-(-?\d+)")


@dataclass(frozen=True, slots=True)
class Upload:
    """An upload session: where its next request goes.

    ``held``       bytes the registry says it has; None when its answer tells nothing
    ``chunk_min``  bytes that every chunk but the last must have at least (OCI-Chunk-Min-Length)
    """

    location: httpx.URL
    held: int | None = None
    chunk_min: int = 0


@dataclass(frozen=True, slots=True)
class Repository:
    wire: Wire
    patience: Patience
    warn: Callable[[str], None]
    name: str
    scopes: tuple[str, ...]

    # -- blobs ---------------------------------------------------------------------------------------------------------

    def has_blob(self, blob: Descriptor) -> bool:
        """False also when the registry would not tell: an upload finds out."""
        reply = self._repeat(self._call("HEAD", self._url(f"blobs/{blob.digest}")), accept={200, 403, 404, 405})
        length = reply.headers.get("Content-Length", "0")
        return reply.status == 200 and length in ("0", str(blob.size))

    def mount_blob(self, digest: Digest, source: str) -> Upload | None:
        """Takes the blob over from repository ``source``; None when that worked, else the session to upload it in.

        Any answer but 201 and 202 means no more than that this registry does not mount: Harbor says 401 for an unknown
        project, others 403, 404 or 405. An error then is a :class:`Refused` which the caller may pass over.
        """
        query = f"?mount={quote(str(digest), safe='')}&from={quote(source, safe='')}"
        reply = self._repeat(self._call("POST", self._url(f"blobs/uploads/{query}")), accept={201, 202})
        return None if reply.status == 201 else self._session(reply)

    def start_upload(self) -> Upload:
        return self._session(self._repeat(self._call("POST", self._url("blobs/uploads/")), accept={200, 202, 204}))

    def send_blob(self, upload: Upload, digest: Digest, body: Body) -> None:
        """The whole blob in one PUT that also commits it."""
        headers = {"Content-Type": "application/octet-stream"}
        self._committed(self._once("PUT", with_digest(upload.location, digest), headers, body), digest)

    def append(self, upload: Upload, body: Body, *, with_range: bool) -> Upload:
        """One chunk. Without a range it stands for the whole blob: the form that Docker and skopeo use."""
        headers = {"Content-Type": "application/octet-stream"}
        if with_range:
            headers["Content-Range"] = f"{body.offset}-{body.offset + body.length - 1}"
        reply = self._once("PATCH", upload.location, headers, body)
        if reply.status not in (201, 202, 204):
            raise Refused(reply)
        return self._session(reply)

    def commit(self, upload: Upload, digest: Digest) -> None:
        self._committed(self._once("PUT", with_digest(upload.location, digest), {}, None), digest)

    def upload_status(self, upload: Upload) -> Upload | None:
        """What the registry has of an interrupted upload; None when it knows nothing about it (any more)."""
        try:
            reply = self._repeat(self._call("GET", upload.location), accept={200, 202, 204})
        except (Refused, Unreachable):
            return None
        return self._session(reply) if reply.headers.get("Location") else None

    def cancel(self, upload: Upload) -> None:
        """Frees the registry's disk. Many refuse it (to delete is a right of its own), and nothing depends on it."""
        try:
            self.wire.request(Call("DELETE", upload.location, self.scopes, take_no=True))
        except RegistryError:
            pass

    @contextmanager
    def open_blob(self, digest: Digest, offset: int = 0) -> Iterator[Iterator[bytes]]:
        """The bytes of a blob from ``offset`` on, as they come: neither counted nor checked, and tried once."""
        headers = {"Range": f"bytes={offset}-"} if offset else {}
        with self.wire.stream(Call("GET", self._url(f"blobs/{digest}"), self.scopes, headers)) as response:
            if response.status_code not in (200, 206):
                raise Refused(self.wire.read("GET", response, ERROR_BODY_CAP))
            partial = response.status_code == 206
            if partial and not response.headers.get("Content-Range", "").startswith(f"bytes {offset}-"):
                raise RegistryError(f"{redact(response.url)} sent another part of the blob than was asked for")
            pieces = self.wire.pieces(response)
            yield pieces if partial else _skip(pieces, offset)

    # -- manifests -----------------------------------------------------------------------------------------------------

    def manifest_digest(self, identifier: str) -> Digest | None:
        """The digest behind a tag or digest; None when there is none, or HEAD does not tell."""
        call = self._call("HEAD", self._url(f"manifests/{identifier}"), {"Accept": ACCEPT_MANIFESTS})
        reply = self._repeat(call, accept={200, 403, 404, 405})
        digest = reply.headers.get("Docker-Content-Digest")
        if reply.status != 200 or not digest:
            return None
        try:
            return Digest.parse(digest)
        except ImageError:
            return None

    def put_manifest(self, identifier: str, media_type: str, data: bytes) -> None:
        """Exactly these bytes, under a tag or under their digest. The type must be the one in the bytes."""
        url = self._url(f"manifests/{identifier}")
        reply = self._repeat(self._call("PUT", url, {"Content-Type": media_type}, data), accept={200, 201, 202, 204})
        _compare(reply, Digest.of(data))

    def get_manifest(self, identifier: str) -> Reply:
        """By tag or digest, as it came: type and bytes are still to be judged."""
        call = self._call("GET", self._url(f"manifests/{identifier}"), {"Accept": ACCEPT_MANIFESTS})
        return self._repeat(replace(call, cap=MANIFEST_CAP), accept={200})

    def get_referrers(self, subject: Digest, following: str | None = None) -> Reply:
        """The first page of what refers to a manifest, or the one that a Link header calls ``following``."""
        url = self._url(f"referrers/{subject}")
        if following is not None:
            url = follow(following, url, self.wire.origin, self.warn)
        call = self._call("GET", url, {"Accept": media_types.OCI_INDEX})
        return self._repeat(replace(call, cap=MANIFEST_CAP), accept={200})

    # -- how they are sent ---------------------------------------------------------------------------------------------

    def _url(self, path: str) -> httpx.URL:
        return self.wire.origin.url(f"/v2/{self.name}/{path}")

    def _call(
        self, method: str, url: httpx.URL, headers: Mapping[str, str] | None = None, body: bytes | Body | None = None
    ) -> Call:
        return Call(method, url, self.scopes, headers or {}, body)

    def _repeat(self, call: Call, *, accept: set[int]) -> Reply:
        def attempt() -> Reply:
            reply = self.wire.request(call)
            if reply.status not in accept:
                raise Refused(reply)
            return reply

        return self.patience.call(f"{call.method} {redact(call.url)}", attempt)

    def _once(self, method: str, url: httpx.URL, headers: Mapping[str, str], body: Body | None) -> Reply:
        return self.wire.request(self._call(method, url, headers, body))

    def _session(self, reply: Reply) -> Upload:
        location = follow(reply.headers.get("Location"), reply.url, self.wire.origin, self.warn)
        chunk_min = reply.headers.get("OCI-Chunk-Min-Length", "")
        is_number = chunk_min.isascii() and chunk_min.isdigit()
        return Upload(location, held_bytes(reply.headers.get("Range")), int(chunk_min[:12]) if is_number else 0)

    def _committed(self, reply: Reply, digest: Digest) -> None:
        if reply.status not in (200, 201, 202, 204):
            raise Refused(reply)
        _compare(reply, digest)


def _skip(pieces: Iterator[bytes], amount: int) -> Iterator[bytes]:
    """For servers that know no ranges, and send the whole blob again."""
    for piece in pieces:
        rest = piece[amount:]
        amount -= len(piece) - len(rest)
        if rest:
            yield rest


def held_bytes(value: str | None) -> int | None:
    """The number of bytes that a Range header of an upload session speaks of; None when it says nothing clear.

    Only its end is believed. ``0-0`` means both no byte and one byte (distribution), and is what metahub says always.
    """
    match = _RANGE.fullmatch(value.strip()) if value else None
    if match is None or value == "0-0":
        return None
    return max(int(match[2]) + 1, 0)


def _compare(reply: Reply, digest: Digest) -> None:
    said = reply.headers.get("Docker-Content-Digest")
    if said and said.startswith(f"{digest.algorithm}:") and said != str(digest):
        raise RegistryError(f"{redact(reply.url)} stored {said[:100]} where {digest} was sent",
                            hint="Something between here and the registry changes bytes; nothing was tagged.")
