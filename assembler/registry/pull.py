"""What is read out of a registry: manifests and indexes by tag or digest, and blobs of any size."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

from assembler.errors import ImageError, RegistryError
from assembler.image import strict_json
from assembler.image.blob_store import check_bytes
from assembler.image.manifests import RawManifest
from assembler.model import media_types
from assembler.model.descriptor import Descriptor
from assembler.model.digest import Digest
from assembler.registry.responses import Refused, Reply
from assembler.registry.unreachable import Unreachable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from assembler.registry.repository import Repository

_KNOWN_TYPES: Final = media_types.MANIFESTS | media_types.INDEXES


def fetch_manifest(repository: Repository, identifier: str) -> RawManifest:
    """What stands behind a tag or digest (``sha256:...``). A digest is held against the bytes."""
    reply = repository.get_manifest(identifier)
    media_type = _media_type(reply)
    if ":" in identifier:
        digest = Digest.parse(identifier)
        descriptor = Descriptor(media_type, digest, len(reply.body))
        check_bytes(descriptor, reply.body)
        return RawManifest(descriptor, reply.body)
    descriptor = Descriptor.of(media_type, reply.body)
    said, actual = reply.headers.get("Docker-Content-Digest", ""), descriptor.digest
    if said.startswith("sha256:") and said != str(actual):  # too many registries get this header wrong
        repository.warn(f"{repository.name}:{identifier} is {actual}, although the registry says {said[:80]}.")
    return RawManifest(descriptor, reply.body)


def find_manifest(repository: Repository, identifier: str) -> RawManifest | None:
    """The same; None where there is no such manifest, or no such repository."""
    try:
        return fetch_manifest(repository, identifier)
    except Refused as error:
        if error.status == 404:
            return None
        raise


def read_blob(repository: Repository, blob: Descriptor, cap: int = strict_json.CONFIG_CAP) -> bytes:
    """A small blob, whole and checked. ``cap`` in bytes."""
    if blob.size > cap:
        raise ImageError(f"{blob.digest} is {blob.size} bytes; at most {cap} are read into memory",
                         hint="Check where the image comes from.")
    return b"".join(stream_blob(repository, blob))


def stream_blob(repository: Repository, blob: Descriptor) -> Iterator[bytes]:
    """The bytes of a blob of any size, going on where a connection broke.

    Size and digest are known only at the end: what was read is good when the iterator ends without an error.
    """
    digest, position = hashlib.new(blob.digest.algorithm), 0
    trial = repository.patience.trial(f"The download of {blob.digest}")
    while position < blob.size:
        trial.begin(position)
        try:
            with repository.open_blob(blob.digest, position) as pieces:
                for piece in pieces:
                    digest.update(piece)
                    position += len(piece)
                    if position > blob.size:
                        break
                    yield piece
            if position < blob.size:  # without a Content-Length, a cut looks like an end
                raise Unreachable(f"The connection ended at byte {position} of {blob.size} of {blob.digest}")
        except (Refused, Unreachable) as error:
            trial.failed(error)
    if position != blob.size or digest.hexdigest() != blob.digest.hex:
        raise RegistryError(f"{repository.name} sent bytes that do not match the digest {blob.digest}",
                            hint="The registry, or a proxy before it, is damaged or changes what it serves.")


def _media_type(reply: Reply) -> str:
    """What the answer says it is; of the parsers above, each then refuses bytes that could be read as the other."""
    said: str = reply.headers.get("Content-Type", "").partition(";")[0].strip()
    if said in _KNOWN_TYPES:
        return said
    body = strict_json.parse(reply.body, "the manifest")
    inner = body.get("mediaType")
    if isinstance(inner, str) and inner in _KNOWN_TYPES:
        return inner
    if inner is None and body.get("schemaVersion") == 2:
        return media_types.OCI_INDEX if "manifests" in body else media_types.OCI_MANIFEST
    return str(inner or said)
