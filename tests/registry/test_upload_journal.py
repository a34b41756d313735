"""Pushes that a later process takes up."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import time as real_time
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assembler.errors import RegistryError
from assembler.model.digest import Digest
from assembler.registry.origin import Origin
from assembler.registry.push import PushOptions, PushPlan, push
from assembler.registry.repository import Upload
from assembler.registry.upload_journal import open_journal
from tests.registry.conftest import Connect
from tests.support.images import make_plan

if TYPE_CHECKING:
    from assembler.progress import SilentProgress
    from tests.support.debian_registry import DebianRegistry
    from tests.support.fault_registry import FaultRegistry

ORIGIN = Origin("https", "r.example", 443)
DIGEST = Digest.of(b"")
UPLOAD = Upload(httpx.URL("https://r.example/v2/a/blobs/uploads/1?_state=x%3D"))


@pytest.fixture
def plan(tmp_path: Path) -> PushPlan:
    return make_plan(tmp_path / "image", sizes=(300_000,))


@pytest.fixture
def options(tmp_path: Path) -> PushOptions:
    return PushOptions(journal=tmp_path / "journal", chunk_size=100_000, workers=1)


def break_off(
    faulty: FaultRegistry, connect: Connect, plan: PushPlan, progress: SilentProgress, options: PushOptions
) -> None:
    """A push that ends in the middle of the layer's second chunk."""
    faulty.faults.cuts = [100_000] + [50_000] * 50
    with connect(faulty.host) as client, pytest.raises(RegistryError):
        push(client, "team/app", plan, progress, options)
    faulty.faults.cuts = []


def test_the_next_push_goes_on_where_the_registry_is(
    faulty: FaultRegistry, open_registry: Connect, progress: SilentProgress, plan: PushPlan, options: PushOptions
) -> None:
    layer, path = plan.blobs[1].descriptor, plan.blobs[1].path
    assert path is not None
    assert options.journal is not None
    with open_registry(faulty.host) as client:
        with open_journal(options.journal, client.wire.origin, "team/app") as journal:
            journal.note(layer.digest, client.repository("team/app", push=True).start_upload(), 0)
        [session] = faulty.sessions.values()
        session.data += path.read_bytes()[:123_456]
        report = push(client, "team/app", plan, progress, options)
    assert report.kept == 123_456
    assert report.sent == sum(blob.descriptor.size for blob in plan.blobs) - 123_456
    assert faulty.blobs["team/app", str(layer.digest)] == path.read_bytes()
    assert not options.journal.exists()


def test_the_next_push_starts_again_where_the_registry_kept_nothing(
    faulty: FaultRegistry, open_registry: Connect, progress: SilentProgress, plan: PushPlan, options: PushOptions
) -> None:
    break_off(faulty, open_registry, plan, progress, options)
    with open_registry(faulty.host) as client:
        report = push(client, "team/app", plan, progress, options)
    assert report.kept == 0
    assert len(faulty.blobs) == 2
    assert options.journal is not None
    assert not options.journal.exists()


def test_a_process_that_was_killed(plain_registry: DebianRegistry, tmp_path: Path, repository_name: str) -> None:
    """kill -9 in the middle of chunks, over and over; the registry ends up with the image, whole."""
    plan = make_plan(tmp_path / "image", sizes=(6_000_000,))
    command = [sys.executable, "-c", _PUSH, plain_registry.host, repository_name, str(tmp_path)]
    for delay in (0.05, 0.15):
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            process.stdout.readline()
            real_time.sleep(delay)
            process.send_signal(signal.SIGKILL)
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert json.loads(done.stdout.splitlines()[-1])["digest"] == str(plan.manifests[0].descriptor.digest)
    assert not (tmp_path / "journal").exists()
    subprocess.run(["skopeo", "copy", "--src-tls-verify=false",
                    f"docker://{plain_registry.host}/{repository_name}:v1", f"dir:{tmp_path / 'back'}"],
                   check=True, capture_output=True)


def test_debians_registry_goes_on_after_a_kill_between_two_chunks(
    plain_registry: DebianRegistry, tmp_path: Path, repository_name: str
) -> None:
    """After a cut inside a chunk 2.8 forgets the session; between two chunks it keeps it, for any later process."""
    make_plan(tmp_path / "image", sizes=(6_000_000,))
    command = [sys.executable, "-c", _PUSH, plain_registry.host, repository_name, str(tmp_path)]
    killed = subprocess.run([*command, "600000"], capture_output=True, check=False)
    assert killed.returncode == -signal.SIGKILL
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    report = json.loads(done.stdout.splitlines()[-1])
    assert report["kept"] == 600_000
    assert report["sent"] < 6_000_000 - 590_000
    subprocess.run(["skopeo", "copy", "--src-tls-verify=false",
                    f"docker://{plain_registry.host}/{repository_name}:v1", f"dir:{tmp_path / 'back'}"],
                   check=True, capture_output=True)


_PUSH = """
import json, os, signal, sys
from pathlib import Path
from assembler.progress import SilentProgress
from assembler.registry.client import connect
from assembler.registry.credentials import ANONYMOUS
from assembler.registry.upload_journal import FileJournal
from assembler.registry.push import PushOptions, push
from assembler.registry.connection_settings import ConnectionSettings
from tests.support.clocks import FakeTime
from tests.support.images import make_plan

host, repository, directory, *end = sys.argv[1:]
note = FileJournal.note

def note_and_die(self, digest, upload, accepted):
    note(self, digest, upload, accepted)
    if [str(accepted)] == end:
        os.kill(os.getpid(), signal.SIGKILL)

FileJournal.note = note_and_die
plan = make_plan(Path(directory, "image"), sizes=(6_000_000,))
options = PushOptions(journal=Path(directory, "journal"), chunk_size=300_000)
print("ready", flush=True)
with connect(host, ANONYMOUS, ConnectionSettings(FakeTime().clock), print) as client:
    report = push(client, repository, plan, SilentProgress(), options)
print(json.dumps({"digest": str(report.digest), "sent": report.sent, "kept": report.kept}))
"""


# -- the file ----------------------------------------------------------------------------------------------------------


def test_what_was_noted_is_found_until_it_is_forgotten(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    with open_journal(path, ORIGIN, "a") as journal:
        journal.note(DIGEST, UPLOAD, 0)
        journal.note(DIGEST, UPLOAD, 5)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with open_journal(path, ORIGIN, "b") as journal:
        assert journal.find(DIGEST) is None
    with open_journal(path, ORIGIN, "a") as journal:
        found = journal.find(DIGEST)
        assert found is not None
        assert (str(found.location), found.held) == (str(UPLOAD.location), 5)
        journal.forget(DIGEST)
        assert journal.find(DIGEST) is None
    assert not path.exists()


def test_a_signed_url_of_a_blob_store_is_not_kept(tmp_path: Path) -> None:
    with open_journal(tmp_path / "journal", ORIGIN, "a") as journal:
        journal.note(DIGEST, Upload(httpx.URL("https://s3.example/x?X-Amz-Signature=geheim")), 0)
        assert b"geheim" not in (tmp_path / "journal").read_bytes()


@pytest.mark.parametrize("location", ["https://evil.example/x", "https://u:p@r.example/x", "file:///etc/passwd", "x"])
def test_a_location_that_somebody_put_there_is_not_followed(tmp_path: Path, location: str) -> None:
    line = {"target": f"{ORIGIN}/a", "digest": str(DIGEST), "location": location, "accepted": 0}
    (tmp_path / "journal").write_text(json.dumps(line) + "\n")
    with open_journal(tmp_path / "journal", ORIGIN, "a") as journal:
        assert journal.find(DIGEST) is None


def test_a_second_process_keeps_out_of_it(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    with open_journal(path, ORIGIN, "a") as first:
        first.note(DIGEST, UPLOAD, 5)
        with open_journal(path, ORIGIN, "a") as second:
            assert second.find(DIGEST) is None
            second.forget(DIGEST)
        assert first.find(DIGEST) is not None


@given(st.integers(0, 1000), st.binary(max_size=20))
def test_any_damage_costs_no_more_than_what_it_hit(cut: int, junk: bytes) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "journal")
        with open_journal(path, ORIGIN, "a") as journal:
            journal.note(DIGEST, UPLOAD, 7)
        whole = path.read_bytes()
        path.write_bytes(whole[:cut] + junk)
        with open_journal(path, ORIGIN, "a") as journal:
            journal.note(DIGEST, UPLOAD, 8)
        with open_journal(path, ORIGIN, "a") as journal:
            found = journal.find(DIGEST)
            assert found is not None
            assert found.held == 8


def test_a_link_in_its_place_is_not_followed(tmp_path: Path) -> None:
    os.symlink(tmp_path / "other", tmp_path / "journal")
    with pytest.raises(RegistryError, match="can't be opened"), open_journal(tmp_path / "journal", ORIGIN, "a"):
        pass


