"""What in a repository refers to a manifest, as its ``subject`` (distribution-spec, "Listing Referrers").

Registries from before OCI 1.1 can't list it. For these, clients keep an index under a tag that is made of the digest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import httpx

from assembler.errors import RegistryError
from assembler.image.manifests import RawManifest
from assembler.image.strict_json import MANIFEST_CAP
from assembler.model import media_types
from assembler.model.descriptor import Descriptor, canonical_json
from assembler.registry.pull import find_manifest
from assembler.registry.responses import Refused

if TYPE_CHECKING:
    from collections.abc import Iterator

    from assembler.model.digest import Digest
    from assembler.registry.repository import Repository

_UNKNOWN_TO: Final = frozenset({400, 403, 404, 405, 406, 501})
"""What registries without this list answer (404 by the spec)."""
_MOST_PAGES: Final = 100
_MOST_BYTES: Final = 2 * MANIFEST_CAP
"""Of all pages together: they are kept in memory."""


def referrers(repository: Repository, subject: Digest) -> list[Descriptor]:
    """All that refers to ``subject``, from the registry's own list or from the fallback tag."""
    found = _from_registry(repository, subject)
    return _fallback(repository, subject) if found is None else found


def list_referrer(repository: Repository, subject: Digest, entry: Descriptor) -> None:
    """Adds ``entry``, whose manifest is in the repository, to the fallback tag; what others listed there stays.

    Nothing is done where the registry makes the list itself. No registry can do this at once: of two that do it at the
    same moment, one can lose its entry.
    """
    if _from_registry(repository, subject) is not None:
        return
    known = _fallback(repository, subject)
    if any(one.digest == entry.digest for one in known):
        return
    entries = [one.to_json() for one in (*known, entry)]
    index = canonical_json({"schemaVersion": 2, "mediaType": media_types.OCI_INDEX, "manifests": entries})
    repository.put_manifest(_tag(subject), media_types.OCI_INDEX, index)


def _tag(subject: Digest) -> str:
    """distribution-spec, "Referrers Tag Schema"."""
    return f"{subject.algorithm[:32]}-{subject.hex[:64]}"


def _fallback(repository: Repository, subject: Digest) -> list[Descriptor]:
    found = find_manifest(repository, _tag(subject))
    return found.children() if found is not None and found.is_index else []


def _from_registry(repository: Repository, subject: Digest) -> list[Descriptor] | None:
    """None where the registry has no such list."""
    try:
        return [entry for page in _pages(repository, subject) for entry in page.children()]
    except Refused as error:
        if error.status in _UNKNOWN_TO:
            return None
        raise


def _pages(repository: Repository, subject: Digest) -> Iterator[RawManifest]:
    reply, amount = repository.get_referrers(subject), 0
    for _ in range(_MOST_PAGES):
        amount += len(reply.body)
        if amount > _MOST_BYTES:
            raise RegistryError(f"{repository.name} lists more than {_MOST_BYTES} bytes of referrers of {subject}")
        yield RawManifest(Descriptor.of(media_types.OCI_INDEX, reply.body), reply.body)
        following = httpx.Response(200, headers=reply.headers).links.get("next", {}).get("url")
        if following is None:
            return
        reply = repository.get_referrers(subject, following)
    raise RegistryError(f"{repository.name} lists more than {_MOST_PAGES} pages of referrers of {subject}")
