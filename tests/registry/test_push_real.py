"""Pushes to Debian's docker-registry 2.8.2, pulled back by skopeo."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from assembler.errors import RegistryError
from assembler.registry.credentials import Credential
from assembler.registry.push import PushOptions, push
from assembler.registry.upload import BlobOutcome
from tests.registry.conftest import USER, Connect
from tests.support.images import make_index, make_plan

if TYPE_CHECKING:
    from assembler.progress import SilentProgress
    from tests.support.debian_registry import DebianRegistry
    from tests.support.recording import RecordingTransport


def skopeo(*arguments: str) -> bytes:
    return subprocess.run(["skopeo", *arguments], check=True, capture_output=True).stdout


def inspect_raw(registry: DebianRegistry, name: str, *options: str) -> bytes:
    return skopeo("inspect", "--raw", "--tls-verify=false", *options, f"docker://{registry.host}/{name}")


def pull_to_layout(registry: DebianRegistry, name: str, directory: Path, *options: str) -> Any:
    """Copies with skopeo, which checks every digest and diff_id, and gives the layout's index."""
    source = f"docker://{registry.host}/{name}"
    skopeo("copy", "--src-tls-verify=false", *options, source, f"oci:{directory}:it")
    return json.loads((directory / "index.json").read_text())


def test_skopeo_pulls_back_what_was_pushed(
    plain_registry: DebianRegistry, open_registry: Connect, progress: SilentProgress, repository_name: str,
    tmp_path: Path,
) -> None:
    plan = make_plan(tmp_path / "in", sizes=(3_000_000, 10), tags=("v1", "latest"))
    with open_registry(plain_registry.host) as client:
        report = push(client, repository_name, plan, progress)

    assert inspect_raw(plain_registry, f"{repository_name}:latest") == plan.manifests[0].data
    index = pull_to_layout(plain_registry, f"{repository_name}:v1", tmp_path / "out")
    assert index["manifests"][0]["digest"] == str(plan.manifests[0].descriptor.digest)
    assert report.digest == plan.manifests[0].descriptor.digest
    assert report.tags == ("v1", "latest")
    assert report.count(BlobOutcome.SENT) == 3
    assert report.sent == sum(blob.descriptor.size for blob in plan.blobs)
    assert not progress.warnings


def test_what_is_there_is_not_sent_again(
    plain_registry: DebianRegistry, open_registry: Connect, progress: SilentProgress, repository_name: str,
    tmp_path: Path, traffic: RecordingTransport,
) -> None:
    plan = make_plan(tmp_path, sizes=(1000, 2000))
    with open_registry(plain_registry.host) as client:
        push(client, repository_name, plan, progress)
        traffic.requests.clear()
        report = push(client, repository_name, plan, progress)

    assert report.sent == 0
    assert report.manifests == 0
    assert report.count(BlobOutcome.FOUND) == 3
    assert set(traffic.methods) == {"HEAD"}


def test_blobs_are_mounted_from_named_repositories(
    plain_registry: DebianRegistry, open_registry: Connect, progress: SilentProgress, repository_name: str,
    tmp_path: Path,
) -> None:
    base = make_plan(tmp_path / "base", sizes=(1000, 2000), seed=50)
    with open_registry(plain_registry.host) as client:
        push(client, f"{repository_name}-base", base, progress)
        options = PushOptions(mount_from=("t/not-there", f"{repository_name}-base"))
        report = push(client, repository_name, base, progress, options)

    assert report.count(BlobOutcome.MOUNTED) == 3
    assert report.sent == 0
    pull_to_layout(plain_registry, f"{repository_name}:v1", tmp_path / "out")


def test_a_blob_that_is_elsewhere_only_must_be_mountable(
    plain_registry: DebianRegistry, open_registry: Connect, progress: SilentProgress, repository_name: str,
    tmp_path: Path,
) -> None:
    plan = make_plan(tmp_path, sizes=(1000, 2000), seed=60)
    thin = replace(plan, blobs=[*plan.blobs[:2], replace(plan.blobs[2], path=None)])
    with open_registry(plain_registry.host) as client:
        with pytest.raises(RegistryError, match="neither here nor in") as caught:
            push(client, repository_name, thin, progress)
        assert str(plan.blobs[2].descriptor.digest) in (caught.value.detail or "")
        push(client, f"{repository_name}-base", plan, progress)
        report = push(client, repository_name, thin, progress, PushOptions(mount_from=(f"{repository_name}-base",)))

    outcomes = {blob.descriptor.digest: blob.way for blob in report.blobs}
    assert outcomes[plan.blobs[2].descriptor.digest] is BlobOutcome.MOUNTED


def test_an_index_goes_after_its_children(
    plain_registry: DebianRegistry, open_registry: Connect, progress: SilentProgress, repository_name: str,
    tmp_path: Path,
) -> None:
    amd64 = make_plan(tmp_path, tags=(), seed=1)
    arm64 = make_plan(tmp_path, tags=(), seed=2, architecture="arm64")
    plan = make_index([amd64, arm64], ("multi",))
    with open_registry(plain_registry.host) as client:
        push(client, repository_name, plan, progress)

    assert inspect_raw(plain_registry, f"{repository_name}:multi") == plan.manifests[0].data
    pull_to_layout(plain_registry, f"{repository_name}:multi", tmp_path / "out", "--all")


def test_chunks(
    plain_registry: DebianRegistry, open_registry: Connect, progress: SilentProgress, repository_name: str,
    tmp_path: Path, traffic: RecordingTransport,
) -> None:
    plan = make_plan(tmp_path / "in", sizes=(1_000_000,), seed=70)
    with open_registry(plain_registry.host) as client:
        traffic.requests.clear()
        report = push(client, repository_name, plan, progress, PushOptions(chunk_size=300_000, workers=1))

    assert traffic.methods.count("PATCH") == 4 + 1  # the layer in four pieces, the config in one
    assert report.sent == sum(blob.descriptor.size for blob in plan.blobs)
    pull_to_layout(plain_registry, f"{repository_name}:v1", tmp_path / "out")


def test_basic_authentication(
    password_registry: DebianRegistry, open_registry: Connect, progress: SilentProgress, repository_name: str,
    tmp_path: Path,
) -> None:
    plan = make_plan(tmp_path / "in", sizes=(100_000,))
    with open_registry(password_registry.host, USER) as client:
        push(client, repository_name, plan, progress, PushOptions(workers=1))

    credentials = f"--creds={USER.username}:{USER.password}"
    assert inspect_raw(password_registry, f"{repository_name}:v1", credentials) == plan.manifests[0].data


def test_without_credentials_the_error_says_to_log_in(
    password_registry: DebianRegistry, open_registry: Connect, progress: SilentProgress, repository_name: str,
    tmp_path: Path,
) -> None:
    with open_registry(password_registry.host) as client, pytest.raises(RegistryError) as caught:
        push(client, repository_name, make_plan(tmp_path), progress)

    assert "401" in caught.value.message
    assert "imgasm login" in (caught.value.hint or "")


def test_a_wrong_password_is_tried_once_and_named(
    password_registry: DebianRegistry, open_registry: Connect, progress: SilentProgress, repository_name: str,
    tmp_path: Path, traffic: RecordingTransport,
) -> None:
    wrong = Credential("ann", "geheim", origin="/home/ann/.docker/config.json")
    with open_registry(password_registry.host, wrong) as client, pytest.raises(RegistryError) as caught:
        push(client, repository_name, make_plan(tmp_path), progress, PushOptions(workers=1))

    assert "/home/ann/.docker/config.json" in (caught.value.hint or "")
    assert "geheim" not in repr(caught.value) + str(caught.value.hint) + repr(wrong)
    assert traffic.methods == ["HEAD", "HEAD"]
