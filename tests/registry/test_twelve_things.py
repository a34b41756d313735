"""The things that bite whoever speaks to registries over httpx, each by its name.

The last two of the twelve are about what engines load (tests/image/test_eleven_and_twelve.py):
``test_11_docker_needs_manifest_json_and_gets_it_with_the_same_gzip_blob`` and
``test_12_a_wrong_diff_id_does_not_get_past_imgasm``.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from assembler.errors import RegistryError
from assembler.model import media_types
from assembler.model.descriptor import Descriptor
from assembler.model.digest import Digest
from assembler.registry.blob_source import FileSource
from assembler.registry.pull import fetch_manifest, read_blob
from assembler.registry.push import PushOptions, PushPlan, push
from assembler.registry.request_body import Body
from tests.registry.conftest import Connect
from tests.support.fault_registry import Answer, FaultRegistry
from tests.support.images import make_plan

if TYPE_CHECKING:
    from assembler.progress import SilentProgress
    from tests.support.debian_registry import DebianRegistry
    from tests.support.recording import RecordingTransport

ONE = PushOptions(workers=1)


@pytest.fixture
def plan(tmp_path: Path) -> PushPlan:
    return make_plan(tmp_path, sizes=(300_000,))


def test_01_the_query_of_a_location_is_kept_byte_for_byte(
    faulty: FaultRegistry, open_registry: Connect, progress: SilentProgress, plan: PushPlan
) -> None:
    """The registry refuses a state in which %3D, %3d, %e4, %2B, +, / or ~ arrives changed."""
    with open_registry(faulty.host) as client:
        push(client, "team/app", plan, progress, PushOptions(chunk_size=100_000))
    put = next(seen for seen in faulty.seen if seen.method == "PUT" and "/uploads/" in seen.path)
    assert "%3D%3d%e4%2B+a/b~%20&digest=sha256%3A" in put.query


def test_02_a_body_is_never_sent_twice_to_one_location(
    plain_registry: DebianRegistry, open_registry: Connect, progress: SilentProgress, repository_name: str,
    plan: PushPlan, traffic: RecordingTransport,
) -> None:
    """Debian's registry, behind a line that breaks once: the upload starts again with a POST, and ends well."""
    traffic.break_body_after(150_000)
    with open_registry(plain_registry.host) as client:
        report = push(client, repository_name, plan, progress, ONE)
        assert read_blob(client.repository(repository_name), plan.blobs[1].descriptor)
    bodies = [str(request.url) for request in traffic.requests if not isinstance(request.stream, httpx.ByteStream)]
    assert len(bodies) == len(set(bodies)) == 3
    assert report.sent > sum(blob.descriptor.size for blob in plan.blobs)


def test_03_what_a_registry_does_not_check_the_digest_does(
    plain_registry: DebianRegistry, open_registry: Connect, repository_name: str, plan: PushPlan
) -> None:
    """distribution 2.8 takes chunks out of order with 202; only the commit tells."""
    layer = plan.blobs[1]
    assert layer.path is not None
    with open_registry(plain_registry.host) as client:
        repository = client.repository(repository_name, push=True)
        upload = repository.append(repository.start_upload(), _body(layer.path, 100, 50), with_range=True)
        with pytest.raises(RegistryError, match="DIGEST_INVALID"):
            repository.commit(upload, layer.descriptor.digest)


def test_04_one_put_is_the_default(
    faulty: FaultRegistry, open_registry: Connect, progress: SilentProgress, plan: PushPlan
) -> None:
    """ECR drops chunks after the first, Google takes none, GHCR takes 4 MiB."""
    with open_registry(faulty.host) as client:
        push(client, "team/app", plan, progress)
    assert "PATCH" not in faulty.moves()


def test_05_a_registry_may_hash_for_a_long_time(
    faulty: FaultRegistry, open_registry: Connect, progress: SilentProgress, plan: PushPlan
) -> None:
    """httpx would give up after 5 s."""
    faulty.faults.slow_commit = 5.5
    with open_registry(faulty.host) as client:
        report = push(client, "team/app", plan, progress)
    assert report.sent == sum(blob.descriptor.size for blob in plan.blobs)


def test_06_a_lost_answer_to_a_successful_put(
    faulty: FaultRegistry, open_registry: Connect, progress: SilentProgress, plan: PushPlan
) -> None:
    faulty.faults.lose_commits = 2
    with open_registry(faulty.host) as client:
        report = push(client, "team/app", plan, progress, ONE)
    assert faulty.moves().count("PUT") == 2 + 2
    assert report.sent == sum(blob.descriptor.size for blob in plan.blobs)


@pytest.mark.parametrize("where", ["location", "redirect", "realm"])
def test_07_user_and_password_in_a_url_are_refused(faulty: FaultRegistry, open_registry: Connect, where: str) -> None:
    evil = faulty.origin.replace("http://", "http://ann:pw@")
    faulty.faults.location = lambda origin, path: evil + path
    if where == "redirect":
        faulty.faults.script["head_blob"] = [Answer(307, headers={"Location": f"{evil}/x"})]
    if where == "realm":
        faulty.faults.script["head_blob"] = [Answer(401, headers={"WWW-Authenticate": f'Bearer realm="{evil}/token"'})]
    blob = Descriptor(media_types.OCI_LAYER, Digest.of(b""), 0)
    with open_registry(faulty.host) as client, pytest.raises(RegistryError, match="user name or password"):
        repository = client.repository("team/app", push=True)
        repository.has_blob(blob)
        repository.start_upload()


def test_08_cookies_are_not_returned(
    faulty: FaultRegistry, open_registry: Connect, progress: SilentProgress, plan: PushPlan
) -> None:
    """Harbor takes a cookie for a browser, and then wants a CSRF token."""
    faulty.faults.cookie = True
    with open_registry(faulty.host) as client:
        push(client, "team/app", plan, progress)
    assert all("cookie" not in seen.headers for seen in faulty.seen)


def test_09_answers_are_hashed_as_they_come(faulty: FaultRegistry, open_registry: Connect) -> None:
    """A server that compresses for whoever lets it would give other bytes than the digest is of."""
    faulty.faults.content_encoding = True
    data = b'{"schemaVersion":2,"config":{},"layers":[]}'
    blob = Descriptor(media_types.OCI_CONFIG, Digest.of(data), len(data))
    faulty.blobs["team/app", str(blob.digest)] = data
    faulty.manifests["team/app", str(blob.digest)] = (media_types.OCI_MANIFEST, data)
    with open_registry(faulty.host) as client:
        repository = client.repository("team/app")
        assert read_blob(repository, blob) == data
        assert fetch_manifest(repository, str(blob.digest)).data == data
    assert {seen.headers["accept-encoding"] for seen in faulty.seen} == {"identity"}


def test_10_a_body_can_be_sent_again_and_from_anywhere(
    faulty: FaultRegistry, open_registry: Connect, tmp_path: Path
) -> None:
    """A part of a file, with its length, twice: the first time is answered with 307."""
    file = tmp_path / "file"
    file.write_bytes(bytes(range(256)) * 1000)
    part = file.read_bytes()[1000:201_000]
    shown: list[int] = []
    with open_registry(faulty.host) as client:
        repository = client.repository("team/app", push=True)
        upload = repository.start_upload()
        faulty.faults.script["put_blob"] = [Answer(307, headers={"Location": upload.location.raw_path.decode()
                                                                 + f"&digest={Digest.of(part)}"})]
        repository.send_blob(upload, Digest.of(part), _body(file, 1000, len(part), shown))
    assert faulty.blobs["team/app", str(Digest.of(part))] == part
    puts = [seen for seen in faulty.seen if seen.method == "PUT"]
    assert [seen.headers["content-length"] for seen in puts] == ["200000", "200000"]
    assert all("transfer-encoding" not in seen.headers for seen in puts)
    assert sum(shown) == len(part)


def _body(path: Path, offset: int, length: int, shown: list[int] | None = None) -> Body:
    import threading

    return Body(FileSource(path), offset, length, (shown if shown is not None else []).append, threading.Event())


