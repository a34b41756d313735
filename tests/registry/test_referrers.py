"""What refers to a manifest: by the registry's own list, on several pages, and under the tag of those without one."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from assembler.model import media_types
from assembler.model.descriptor import Descriptor, canonical_json
from assembler.progress import SilentProgress
from assembler.registry.push import ManifestToPush, PushPlan, push
from assembler.registry.referrers import list_referrer, referrers
from tests.support.images import write_blob

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from assembler.model.digest import Digest
    from assembler.registry.client import RegistryClient
    from tests.registry.conftest import Connect
    from tests.support.debian_registry import DebianRegistry
    from tests.support.fault_registry import FaultRegistry

SUBJECT = Descriptor.of(media_types.OCI_MANIFEST, b"an image")
TAG = f"sha256-{SUBJECT.digest.hex}"

Put = Callable[["RegistryClient", str, int], Descriptor] if TYPE_CHECKING else object


@pytest.fixture
def put(tmp_path: Path) -> Put:
    """Pushes a manifest that refers to the subject."""

    def put(client: RegistryClient, repository: str, number: int) -> Descriptor:
        empty = write_blob(tmp_path, "application/vnd.oci.empty.v1+json", b"{}")
        data = canonical_json({
            "schemaVersion": 2, "mediaType": media_types.OCI_MANIFEST, "config": empty.descriptor.to_json(),
            "layers": [], "annotations": {"number": str(number)}, "subject": SUBJECT.to_json(),
        })  # fmt: skip
        entry = Descriptor.of(media_types.OCI_MANIFEST, data)
        push(client, repository, PushPlan([empty.to_push], [ManifestToPush(entry, data)]), SilentProgress())
        return entry

    return put


def digests(entries: list[Descriptor]) -> list[Digest]:
    return sorted(entry.digest for entry in entries)


@pytest.mark.parametrize("page", [1, 2, 10])
def test_the_registrys_list_is_read_to_its_last_page(
    faulty: FaultRegistry, open_registry: Connect, page: int, put: Put
) -> None:
    faulty.faults.referrers_page = page
    with open_registry(faulty.host) as client:
        repository = client.repository("a", push=True)
        entries = [put(client, "a", number) for number in range(3)]
        for entry in entries:
            list_referrer(repository, SUBJECT.digest, entry)
        assert digests(referrers(repository, SUBJECT.digest)) == digests(entries)
    assert ("a", TAG) not in faulty.manifests


def test_where_there_is_no_list_it_is_kept_under_a_tag_and_loses_nothing(
    plain_registry: DebianRegistry, open_registry: Connect, repository_name: str, put: Put
) -> None:
    with open_registry(plain_registry.host) as client:
        repository = client.repository(repository_name, push=True)
        assert referrers(repository, SUBJECT.digest) == []
        theirs, own = put(client, repository_name, 1), put(client, repository_name, 2)
        other: dict[str, Any] = {**theirs.to_json(), "artifactType": "a/b", "annotations": {"by": "others"}}
        index = {"schemaVersion": 2, "mediaType": media_types.OCI_INDEX, "manifests": [other]}
        repository.put_manifest(TAG, media_types.OCI_INDEX, canonical_json(index))

        for _ in range(2):
            list_referrer(repository, SUBJECT.digest, own)
            assert json.loads(repository.get_manifest(TAG).body)["manifests"] == [other, own.to_json()]
        assert digests(referrers(repository, SUBJECT.digest)) == digests([theirs, own])
