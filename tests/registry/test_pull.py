"""Manifests, configs and blobs out of registries, well-behaved and not."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest

from assembler.errors import ImageError, RegistryError
from assembler.model import media_types
from assembler.model.descriptor import Descriptor
from assembler.model.digest import Digest
from assembler.model.place import Place, Store
from assembler.model.platform import Platform
from assembler.places.open import in_registry
from assembler.places.registries import Registries
from assembler.registry.connection_settings import ConnectionSettings
from assembler.registry.find_credential import CredentialSources
from assembler.registry.pull import fetch_manifest, read_blob, stream_blob
from assembler.registry.push import PushOptions, push
from tests.registry.conftest import Connect
from tests.support.images import make_index, make_plan

if TYPE_CHECKING:
    from collections.abc import Iterator

    from assembler.image.image import Image
    from assembler.progress import SilentProgress
    from assembler.registry.repository import Repository
    from tests.support.clocks import FakeTime
    from tests.support.debian_registry import DebianRegistry
    from tests.support.fault_registry import FaultRegistry
    from tests.support.recording import RecordingTransport

DATA = bytes(range(256)) * 1000
WARNINGS: list[str] = []
BLOB = Descriptor(media_types.OCI_LAYER, Digest.of(DATA), len(DATA))
AMD64, ARM64 = Platform("linux", "amd64"), Platform("linux", "arm64", "v8")


def fetch_image(repository: Repository, identifier: str, platform: Platform | None) -> Image:
    """Through the door that every command goes through; the connection is open already."""
    mark = "@" if ":" in identifier else ":"
    place = Place(Store.REGISTRY, f"{repository.wire.origin.netloc}/{repository.name}{mark}{identifier}")
    registries = Registries(CredentialSources(), cast(ConnectionSettings, None), WARNINGS.append)
    return in_registry(place, repository, registries).one().for_platform(platform).image


@pytest.fixture
def repository(faulty: FaultRegistry, open_registry: Connect) -> Iterator[Repository]:
    faulty.blobs["team/app", str(BLOB.digest)] = DATA
    with open_registry(faulty.host) as client:
        yield client.repository("team/app")


def test_an_image_by_tag_digest_and_platform(
    plain_registry: DebianRegistry, open_registry: Connect, progress: SilentProgress, repository_name: str,
    tmp_path: Path, traffic: RecordingTransport,
) -> None:
    amd64, arm64 = (make_plan(tmp_path, tags=(architecture,), seed=seed, architecture=architecture)
                    for seed, architecture in enumerate(("amd64", "arm64")))
    with open_registry(plain_registry.host) as client:
        push(client, repository_name, make_index([amd64, arm64], ("multi",)), progress)
        source = client.repository(repository_name)
        traffic.requests.clear()
        image = fetch_image(source, "multi", ARM64)
        assert traffic.methods == ["GET", "GET", "GET"]  # index, manifest, config: nothing else is read
        assert image.descriptor.digest == arm64.manifests[0].descriptor.digest
        assert image.manifest_bytes == arm64.manifests[0].data
        assert image.platform.architecture == "arm64"
        by_digest = fetch_image(source, str(amd64.manifests[0].descriptor.digest), AMD64)
        assert by_digest.manifest_bytes == amd64.manifests[0].data
        assert fetch_image(source, "amd64", None).descriptor == by_digest.descriptor
        with pytest.raises(ImageError, match="riscv64"):
            fetch_image(source, "multi", Platform("linux", "riscv64"))
        assert not progress.warnings and not WARNINGS
        fetch_image(source, "arm64", AMD64)
        assert "is for linux/arm64, not linux/amd64" in WARNINGS.pop()


def test_a_blob_from_a_real_registry(
    plain_registry: DebianRegistry, open_registry: Connect, progress: SilentProgress, repository_name: str,
    tmp_path: Path,
) -> None:
    plan = make_plan(tmp_path, sizes=(2_000_000,))
    layer = plan.blobs[1]
    assert layer.path is not None
    with open_registry(plain_registry.host) as client:
        push(client, repository_name, plan, progress)
        source = client.repository(repository_name)
        assert b"".join(stream_blob(source, layer.descriptor)) == layer.path.read_bytes()
        with source.open_blob(layer.descriptor.digest, 1_000_000) as pieces:
            assert b"".join(pieces) == layer.path.read_bytes()[1_000_000:]


def test_what_is_not_there(plain_registry: DebianRegistry, open_registry: Connect) -> None:
    with open_registry(plain_registry.host) as client:
        with pytest.raises(RegistryError, match="404"):
            fetch_manifest(client.repository("not/there"), "v1")
        with pytest.raises(RegistryError, match="404"):
            read_blob(client.repository("not/there"), BLOB)


@pytest.mark.parametrize("cut", [[], [100_000, 300_000]])
def test_blobs_go_from_registry_to_registry_without_a_file(
    plain_registry: DebianRegistry, faulty: FaultRegistry, open_registry: Connect, progress: SilentProgress,
    repository_name: str, tmp_path: Path, cut: list[int],
) -> None:
    plan = make_plan(tmp_path, sizes=(500_000,))
    with open_registry(faulty.host) as base, open_registry(plain_registry.host) as client:
        push(base, "team/base", plan, progress)
        source = base.repository("team/base")
        faulty.faults.cut_blobs = cut
        thin = replace(plan, blobs=[replace(blob, path=None, remote=source) for blob in plan.blobs])
        push(client, repository_name, thin, progress, PushOptions(workers=1))
        copied = fetch_image(client.repository(repository_name), "v1", None)
        for blob in plan.blobs:
            assert blob.path is not None
            assert read_blob(client.repository(repository_name), blob.descriptor) == blob.path.read_bytes()
    assert copied.descriptor == plan.manifests[0].descriptor


# -- blobs -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("no_ranges", [False, True])
def test_a_cut_download_goes_on(
    faulty: FaultRegistry, repository: Repository, no_ranges: bool, time: FakeTime
) -> None:
    """Seven cuts with progress in between are no reason to give up, also where the server knows no ranges."""
    growing = [90_000, 100_000, 120_000, 150_000, 180_000, 200_000, 210_000]
    faulty.faults.cut_blobs = growing if no_ranges else [30_000] * 7
    faulty.faults.no_ranges = no_ranges
    assert read_blob(repository, BLOB) == DATA
    assert len(faulty.seen) == 8
    assert len(time.pauses) == 7


def test_a_download_without_progress_ends(faulty: FaultRegistry, repository: Repository) -> None:
    faulty.faults.cut_blobs = [1000] + [0] * 40
    with pytest.raises(RegistryError) as caught:
        read_blob(repository, BLOB)
    assert "tried 27 times, with 118 s of pauses" in (caught.value.detail or "")


def test_a_short_body_without_a_length_is_a_cut(faulty: FaultRegistry, repository: Repository) -> None:
    faulty.faults.truncate_blobs = 500
    with pytest.raises(RegistryError, match="ended at byte 500"):
        read_blob(repository, BLOB)


@pytest.mark.parametrize("served", [DATA[:-1] + b"x", DATA + b"more"])
def test_other_bytes_are_refused(faulty: FaultRegistry, repository: Repository, served: bytes) -> None:
    faulty.blobs["team/app", str(BLOB.digest)] = served
    with pytest.raises(RegistryError, match="do not match the digest"):
        read_blob(repository, BLOB)


def test_a_blob_in_storage_elsewhere(faulty: FaultRegistry, repository: Repository) -> None:
    faulty.faults.storage = faulty.origin
    assert read_blob(repository, BLOB) == DATA


def test_large_blobs_are_not_read_into_memory(repository: Repository) -> None:
    with pytest.raises(ImageError, match="at most 1000"):
        read_blob(repository, BLOB, cap=1000)


# -- manifests ---------------------------------------------------------------------------------------------------------


def serve(faulty: FaultRegistry, body: Any, content_type: str, reference: str = "v1") -> bytes:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    faulty.manifests["team/app", reference] = (content_type, data)
    return data


MANIFEST: dict[str, Any] = {"schemaVersion": 2, "config": BLOB.to_json(), "layers": []}
INDEX: dict[str, Any] = {"schemaVersion": 2, "manifests": []}


@pytest.mark.parametrize(("body", "content_type", "expected"), [
    (MANIFEST, media_types.OCI_MANIFEST, media_types.OCI_MANIFEST),
    (MANIFEST, f"{media_types.DOCKER_MANIFEST}; charset=utf-8", media_types.DOCKER_MANIFEST),
    (MANIFEST | {"mediaType": media_types.DOCKER_MANIFEST}, "application/json", media_types.DOCKER_MANIFEST),
    (MANIFEST, "text/plain", media_types.OCI_MANIFEST),
    (INDEX, "application/octet-stream", media_types.OCI_INDEX),
])
def test_the_type_of_a_manifest(
    faulty: FaultRegistry, repository: Repository, body: Any, content_type: str, expected: str
) -> None:
    data = serve(faulty, body, content_type)
    found = fetch_manifest(repository, "v1")
    assert found.descriptor == Descriptor(expected, Digest.of(data), len(data))


@pytest.mark.parametrize(("body", "content_type"), [
    (MANIFEST | {"manifests": []}, media_types.OCI_MANIFEST),
    (MANIFEST | {"manifests": []}, media_types.OCI_INDEX),
    (MANIFEST | {"mediaType": media_types.OCI_INDEX}, media_types.OCI_MANIFEST),
    (MANIFEST | {"Layers": []}, media_types.OCI_MANIFEST),
    (MANIFEST | {"fsLayers": []}, media_types.OCI_MANIFEST),
    ({"schemaVersion": 1, "fsLayers": []}, "application/vnd.docker.distribution.manifest.v1+prettyjws"),
    (b'{"schemaVersion":2,"config":{},"config":{}}', media_types.OCI_MANIFEST),
    (b"<html>", "text/html"),
    (INDEX, media_types.OCI_INDEX),
])
def test_what_can_be_read_in_two_ways_is_refused(
    faulty: FaultRegistry, repository: Repository, body: Any, content_type: str
) -> None:
    serve(faulty, body, content_type)
    with pytest.raises(ImageError):
        fetch_image(repository, "v1", AMD64)


def test_a_pinned_digest_is_held_against_the_bytes(faulty: FaultRegistry, repository: Repository) -> None:
    serve(faulty, MANIFEST, media_types.OCI_MANIFEST, str(BLOB.digest))
    with pytest.raises(ImageError, match="does not match its digest"):
        fetch_manifest(repository, str(BLOB.digest))


def test_a_wrong_digest_header_is_only_a_warning(
    faulty: FaultRegistry, repository: Repository, progress: SilentProgress
) -> None:
    data = serve(faulty, MANIFEST, media_types.OCI_MANIFEST)
    faulty.faults.content_digest = f"sha256:{'0' * 64}"
    assert fetch_manifest(repository, "v1").descriptor.digest == Digest.of(data)
    assert "although the registry says" in progress.warnings[0]


def test_a_manifest_larger_than_any_is_not_read(faulty: FaultRegistry, repository: Repository) -> None:
    serve(faulty, b" " * (5 << 20), media_types.OCI_MANIFEST)
    with pytest.raises(RegistryError, match="more than 4194304 bytes"):
        fetch_manifest(repository, "v1")
