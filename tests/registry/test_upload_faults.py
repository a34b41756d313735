"""Uploads to registries that break, lie, or have ways of their own: they end well, or the error says why."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from assembler.errors import ImageError, RegistryError
from assembler.registry.push import PushOptions, PushPlan, PushReport, push
from assembler.registry.upload import BlobOutcome
from tests.registry.conftest import Connect
from tests.support.fault_registry import Answer, FaultRegistry
from tests.support.images import make_plan

if TYPE_CHECKING:
    from collections.abc import Callable

    from assembler.progress import SilentProgress
    from tests.support.clocks import FakeTime

ONE = PushOptions(workers=1)
CHUNKS = PushOptions(workers=1, chunk_size=100_000)


@pytest.fixture
def plan(tmp_path: Path) -> PushPlan:
    """A layer of 300 kB, and a config."""
    return make_plan(tmp_path, sizes=(300_000,))


@pytest.fixture
def push_it(
    faulty: FaultRegistry, open_registry: Connect, progress: SilentProgress, plan: PushPlan
) -> Callable[..., PushReport]:
    """Pushes, and sees to it that the registry then holds exactly what was pushed."""

    def push_it(options: PushOptions = ONE) -> PushReport:
        with open_registry(faulty.host) as client:
            report = push(client, "team/app", plan, progress, options)
        for blob in plan.blobs:
            assert blob.path is not None
            assert faulty.blobs["team/app", str(blob.descriptor.digest)] == blob.path.read_bytes()
        for manifest in plan.manifests:
            for name in (str(manifest.descriptor.digest), *manifest.tags):
                assert faulty.manifests["team/app", name] == (manifest.descriptor.media_type, manifest.data)
        return report

    return push_it


def layer_size(plan: PushPlan) -> int:
    return plan.blobs[1].descriptor.size


def test_without_faults(push_it: Callable[..., PushReport], faulty: FaultRegistry, plan: PushPlan) -> None:
    assert push_it().sent == sum(blob.descriptor.size for blob in plan.blobs)
    assert faulty.moves() == 2 * ["HEAD", "POST", "PUT"] + 2 * ["HEAD", "PUT"]


# -- the connection breaks ---------------------------------------------------------------------------------------------


def test_a_cut_body_starts_again_in_a_new_session(
    push_it: Callable[..., PushReport], faulty: FaultRegistry, plan: PushPlan, progress: SilentProgress,
) -> None:
    faulty.faults.cuts = [200_000, 10]
    report = push_it()
    puts = [seen for seen in faulty.seen if seen.method == "PUT" and "/uploads/" in seen.path]
    assert len({seen.path for seen in puts}) == len(puts) == 4  # no session saw a second body
    assert report.kept == 0
    assert "try 2 in" in progress.warnings[0]


def test_a_cut_body_goes_on_where_the_registry_kept_it(
    push_it: Callable[..., PushReport], faulty: FaultRegistry, plan: PushPlan,
) -> None:
    faulty.faults.cuts = [200_000]
    faulty.faults.keeps_partial = True
    report = push_it()
    patch = next(seen for seen in faulty.seen if seen.method == "PATCH")
    assert patch.headers["content-range"] == f"200000-{layer_size(plan) - 1}"
    assert report.kept == 200_000


def test_a_cut_chunk_goes_on_where_the_registry_kept_it(
    push_it: Callable[..., PushReport], faulty: FaultRegistry,
) -> None:
    faulty.faults.cuts = [100_000, 50_000, 30_000]
    faulty.faults.keeps_partial = True
    assert push_it(CHUNKS).kept == 150_000 + 180_000


def test_an_upload_that_was_gone_on_with_and_then_got_lost_starts_again_at_its_first_byte(
    push_it: Callable[..., PushReport], faulty: FaultRegistry, plan: PushPlan,
) -> None:
    faulty.faults.cuts = [200_000]
    faulty.faults.keeps_partial = True
    faulty.faults.script["patch_blob"] = [Answer(404, "BLOB_UPLOAD_UNKNOWN")]
    report = push_it()
    sent = [seen for seen in faulty.seen if seen.method in ("PUT", "PATCH") and "/uploads/" in seen.path]
    assert [seen.headers.get("content-range") for seen in sent[:3]] == [None, f"200000-{layer_size(plan) - 1}", None]
    assert sent[2].body == layer_size(plan)
    assert report.kept == 0, "what was lost was not kept"


def test_a_connection_that_is_always_cut_ends_with_an_error(
    push_it: Callable[..., PushReport], faulty: FaultRegistry, time: FakeTime,
) -> None:
    faulty.faults.cuts = [1000] * 40
    with pytest.raises(RegistryError) as caught:
        push_it()
    assert "was tried 27 times, with 118 s of pauses" in (caught.value.detail or "")
    assert len(time.pauses) == 26


def test_a_lost_answer_is_no_failure(push_it: Callable[..., PushReport], faulty: FaultRegistry, plan: PushPlan) -> None:
    faulty.faults.lose_commits = 2
    assert push_it().sent == sum(blob.descriptor.size for blob in plan.blobs)
    assert faulty.moves().count("POST") == 2


# -- statuses ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_temporary_refusals_pass(push_it: Callable[..., PushReport], faulty: FaultRegistry, status: int) -> None:
    for move in ("head_blob", "start", "put_blob", "head_manifest", "put_manifest"):
        faulty.faults.script[move] = [Answer(status)]
    push_it()


@pytest.mark.parametrize(("value", "pause"), [
    ("7", 7.0), ("100000", 60.0), ("Fri, 15 Jan 2027 08:00:09 GMT", 9.0), ("Thu, 01 Jan 1970 00:00:00 GMT", 0.5),
    ("-5", 0.5), ("soon", 0.5),
])
def test_retry_after(
    push_it: Callable[..., PushReport], faulty: FaultRegistry, time: FakeTime, value: str, pause: float
) -> None:
    headers = {"Retry-After": value, "Date": "Fri, 15 Jan 2027 08:00:00 GMT"}
    faulty.faults.script["start"] = [Answer(429, headers=headers, body=b"toomanyrequests: slow down")]
    push_it()
    assert time.pauses == [pytest.approx(pause)]


def test_413_names_the_likely_limit(push_it: Callable[..., PushReport], faulty: FaultRegistry) -> None:
    html = b"<html><head><title>413 Request Entity Too Large</title></head>\x1b[31m</html>"
    faulty.faults.script["put_blob"] = [Answer(413, body=html, early=True)]
    with pytest.raises(RegistryError) as caught:
        push_it()
    assert "--chunk-size" in (caught.value.hint or "")
    assert "413" in caught.value.message
    assert "\x1b" not in caught.value.message
    assert "_state=REDACTED" in caught.value.message


def test_403_is_not_tried_again(
    push_it: Callable[..., PushReport], faulty: FaultRegistry, time: FakeTime
) -> None:
    faulty.faults.script["start"] = [Answer(403, "DENIED")]
    with pytest.raises(RegistryError, match="DENIED: as told"):
        push_it()
    assert time.pauses == []


@pytest.mark.parametrize(("status", "code"), [
    (404, "BLOB_UPLOAD_UNKNOWN"), (404, "BLOB_UPLOAD_INVALID"), (416, ""),
])
def test_a_session_that_got_lost_is_replaced(
    push_it: Callable[..., PushReport], faulty: FaultRegistry, status: int, code: str
) -> None:
    faulty.faults.script["put_blob"] = [Answer(status, code)] * 3
    push_it()


def test_sessions_that_get_lost_all_the_time_are_an_error(
    push_it: Callable[..., PushReport], faulty: FaultRegistry
) -> None:
    faulty.faults.script["put_blob"] = [Answer(404, "BLOB_UPLOAD_UNKNOWN")] * 4
    with pytest.raises(RegistryError, match="BLOB_UPLOAD_UNKNOWN"):
        push_it()


@pytest.mark.parametrize("status", [404, 405, 411, 501])
def test_a_registry_that_refuses_put_gets_one_patch(
    push_it: Callable[..., PushReport], faulty: FaultRegistry, plan: PushPlan, status: int
) -> None:
    faulty.faults.script["put_blob"] = [Answer(status, "BLOB_UNKNOWN" if status == 404 else "")]
    push_it()
    [patch] = [seen for seen in faulty.seen if seen.method == "PATCH"]
    assert "content-range" not in patch.headers
    assert patch.headers["content-length"] == str(layer_size(plan))


def test_a_repository_that_is_not_there_is_an_error_at_once(
    push_it: Callable[..., PushReport], faulty: FaultRegistry
) -> None:
    faulty.faults.script["start"] = [Answer(404, "NAME_UNKNOWN")]
    with pytest.raises(RegistryError) as caught:
        push_it()
    assert "create it first" in (caught.value.hint or "")


def test_bytes_changed_on_the_way_are_sent_once_more(
    push_it: Callable[..., PushReport], faulty: FaultRegistry
) -> None:
    faulty.faults.script["put_blob"] = [Answer(400, "DIGEST_INVALID")]
    push_it()
    faulty.blobs.clear()
    faulty.faults.script["put_blob"] = [Answer(400, "DIGEST_INVALID")] * 2
    with pytest.raises(RegistryError, match="DIGEST_INVALID"):
        push_it()


def test_a_damaged_file_is_named(push_it: Callable[..., PushReport], plan: PushPlan) -> None:
    path = plan.blobs[1].path
    assert path is not None
    path.write_bytes(b"x" + path.read_bytes()[1:])
    with pytest.raises(ImageError, match="damaged or was changed"):
        push_it()


def test_a_file_of_another_size_is_never_sent(
    push_it: Callable[..., PushReport], plan: PushPlan, faulty: FaultRegistry
) -> None:
    path = plan.blobs[1].path
    assert path is not None
    path.write_bytes(b"short")
    with pytest.raises(ImageError, match="has 5 bytes"):
        push_it()
    assert faulty.seen == []


# -- chunks ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("style", [
    lambda start, end: f"0-{max(end - 1, 0)}",          # distribution
    lambda start, end: f"0-{end - 1}",                  # olareg: 0--1 for nothing
    lambda start, end: f"{start}-{max(end - 1, 0)}",    # Artifactory
    lambda start, end: "0-0",                           # metahub
    lambda start, end: None,                            # django-oci
    lambda start, end: f"bytes=0-{end - 1}",
    lambda start, end: "nonsense",
    lambda start, end: f"0-{end + 10}",
])
def test_every_way_to_say_how_much_is_there(
    push_it: Callable[..., PushReport], faulty: FaultRegistry, plan: PushPlan,
    style: Callable[[int, int], str | None],
) -> None:
    faulty.faults.range_style = style
    assert push_it(CHUNKS).sent == sum(blob.descriptor.size for blob in plan.blobs)


def test_a_patch_may_be_answered_with_201(push_it: Callable[..., PushReport], faulty: FaultRegistry) -> None:
    faulty.faults.patch_status = 201
    push_it(CHUNKS)


def test_a_registry_that_drops_later_chunks_is_found_out(
    push_it: Callable[..., PushReport], faulty: FaultRegistry
) -> None:
    """Amazon ECR."""
    faulty.faults.patch_status = 201
    faulty.faults.ignore_later_patches = True
    with pytest.raises(RegistryError) as caught:
        push_it(CHUNKS)
    assert "without --chunk-size" in (caught.value.hint or "")
    push_it(ONE)


def test_chunks_above_the_registrys_limit_are_an_error(
    push_it: Callable[..., PushReport], faulty: FaultRegistry
) -> None:
    """GHCR: 4 MiB for a chunk, whole blobs without limit."""
    faulty.faults.chunk_limit = 50_000
    with pytest.raises(RegistryError, match="416"):
        push_it(CHUNKS)
    push_it(ONE)
    push_it(replace(CHUNKS, chunk_size=50_000))


def test_chunks_are_as_large_as_the_registry_wants(
    push_it: Callable[..., PushReport], faulty: FaultRegistry, plan: PushPlan
) -> None:
    faulty.faults.chunk_min = 250_000
    push_it(CHUNKS)
    sizes = [seen.body for seen in faulty.seen if seen.method == "PATCH"]
    assert sizes[:2] == [250_000, layer_size(plan) - 250_000]


# -- mounts ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("answer", [None, *(Answer(status, "DENIED") for status in (401, 403, 404, 405))])
def test_a_refused_mount_is_an_upload(
    push_it: Callable[..., PushReport], faulty: FaultRegistry, plan: PushPlan, answer: Answer | None
) -> None:
    for blob in plan.blobs:
        assert blob.path is not None
        faulty.blobs["team/base", str(blob.descriptor.digest)] = blob.path.read_bytes()
    faulty.faults.mounts = False  # 202: an upload session, which is used
    faulty.faults.script["mount"] = [answer] * 2 if answer else []
    report = push_it(PushOptions(mount_from=("team/base",), workers=1))
    assert report.count(BlobOutcome.SENT) == 2
    assert faulty.sessions == {}


def test_artifactory_says_403_for_what_is_missing(push_it: Callable[..., PushReport], faulty: FaultRegistry) -> None:
    faulty.faults.script["head_blob"] = [Answer(403)] * 2
    faulty.faults.script["head_manifest"] = [Answer(403)] * 2
    push_it()


# -- manifests ---------------------------------------------------------------------------------------------------------


def test_a_blob_that_vanished_is_sent_again(
    push_it: Callable[..., PushReport], faulty: FaultRegistry, plan: PushPlan, progress: SilentProgress
) -> None:
    faulty.faults.loses_blob_once = str(plan.blobs[1].descriptor.digest)
    push_it()
    assert "lost" in progress.warnings[0]


def test_another_digest_in_the_answer_is_an_error(push_it: Callable[..., PushReport], faulty: FaultRegistry) -> None:
    faulty.faults.content_digest = "sha256:" + "0" * 64
    with pytest.raises(RegistryError, match="was sent"):
        push_it()


def test_tags_are_not_written_twice(push_it: Callable[..., PushReport], faulty: FaultRegistry) -> None:
    """Where tags are immutable, even the same manifest again is refused."""
    push_it()
    faulty.faults.script["put_manifest"] = [Answer(409, "TAG_INVALID")]
    assert push_it().manifests == 0
