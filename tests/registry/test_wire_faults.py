"""Who gets credentials, what is followed, and what registries answer to the question of who asks."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from assembler.errors import RegistryError, UsageError
from assembler.model import media_types
from assembler.model.descriptor import Descriptor
from assembler.model.digest import Digest
from assembler.registry.client import connect
from assembler.registry.connection_settings import ConnectionSettings, Tls
from assembler.registry.credentials import Credential
from assembler.registry.push import PushOptions, push
from tests.registry.conftest import Connect
from tests.support.debian_registry import debian_registry, free_port
from tests.support.fault_registry import Answer, FaultRegistry, fault_registry
from tests.support.images import make_plan

if TYPE_CHECKING:
    from collections.abc import Iterator

    from assembler.progress import SilentProgress
    from assembler.registry.repository import Repository
    from tests.support.clocks import FakeTime

ANN = Credential("ann", "pw", origin="the tests")
DATA = b"some bytes"
BLOB = Descriptor(media_types.OCI_LAYER, Digest.of(DATA), len(DATA))


@pytest.fixture
def elsewhere() -> Iterator[FaultRegistry]:
    """Another origin: same host, other port."""
    with fault_registry() as registry:
        yield registry


@contextmanager
def opened(connect: Connect, registry: FaultRegistry, credential: Credential = ANN) -> Iterator[Repository]:
    with connect(registry.host, credential) as client:
        yield client.repository("team/app", push=True)


# -- authentication ----------------------------------------------------------------------------------------------------


def test_the_challenges_scope_is_asked_for_as_it_stands_and_first(
    faulty: FaultRegistry, open_registry: Connect
) -> None:
    """Artifactory names another repository than the one asked for, and some token servers read one scope only."""
    faulty.faults.auth, faulty.faults.challenge_scope = "bearer", "repository:odd-name:any"
    faulty.faults.grants_asked_first = True
    with opened(open_registry, faulty) as repository:
        assert not repository.has_blob(BLOB)
        assert not repository.has_blob(BLOB)
    [query] = faulty.token_requests
    assert query["scope"] == ["repository:odd-name:any", "repository:team/app:pull,push"]
    assert query["keep"] == ["me"]


def test_insufficient_scope_gets_one_more_try(faulty: FaultRegistry, open_registry: Connect) -> None:
    faulty.faults.auth = "bearer"
    with opened(open_registry, faulty) as repository:
        repository.has_blob(BLOB)
        faulty.faults.challenge_scope = "repository:team/app:pull,push,delete"
        repository.has_blob(BLOB)
        assert len(faulty.token_requests) == 2
        assert faulty.token_requests[1]["scope"] == ["repository:team/app:pull,push,delete"]


def test_a_scope_that_is_never_granted_is_an_error(faulty: FaultRegistry, open_registry: Connect) -> None:
    faulty.faults.auth, faulty.faults.challenge_scope = "bearer", "never:granted:any"
    with opened(open_registry, faulty) as repository:
        faulty.faults.challenge_scope = "repository:a:x repository:b:y"
        with pytest.raises(RegistryError) as caught:
            repository.has_blob(BLOB)
    assert "imgasm login" in (caught.value.hint or "")
    assert len(faulty.token_requests) <= 2


@pytest.mark.parametrize("reply", [
    lambda token: {"access_token": token},
    lambda token: {"token": token, "expires_in": 1},
    lambda token: {"token": token, "expires_in": 300, "issued_at": "1999-01-01T00:00:00Z"},
    lambda token: {"token": token, "access_token": "", "expires_in": None},
])
def test_every_shape_of_a_token_reply(faulty: FaultRegistry, open_registry: Connect, reply: object) -> None:
    faulty.faults.auth, faulty.faults.token_reply = "bearer", reply  # type: ignore[assignment]
    with opened(open_registry, faulty) as repository:
        repository.has_blob(BLOB)
        repository.has_blob(BLOB)
    assert len(faulty.token_requests) == 1


@pytest.mark.parametrize("reply", [lambda token: {}, lambda token: {"token": "a\r\nX: b"}, lambda token: {"token": 5}])
def test_a_token_reply_without_a_token(faulty: FaultRegistry, open_registry: Connect, reply: object) -> None:
    faulty.faults.auth, faulty.faults.token_reply = "bearer", reply  # type: ignore[assignment]
    with opened(open_registry, faulty) as repository, pytest.raises(RegistryError, match="without a token"):
        repository.has_blob(BLOB)


def test_a_token_that_expires_between_requests_is_replaced(
    faulty: FaultRegistry, open_registry: Connect, progress: SilentProgress, tmp_path: Path
) -> None:
    """Also in the middle of a blob: the 401 to a body means a new token and a new session."""
    faulty.faults.auth, faulty.faults.token_uses = "bearer", 2
    with open_registry(faulty.host, ANN) as client:
        push(client, "team/app", make_plan(tmp_path, sizes=(1000,)), progress, PushOptions(workers=1))
    assert len(faulty.blobs) == 2


def test_the_challenge_may_stand_at_the_base_url_only(faulty: FaultRegistry, open_registry: Connect) -> None:
    faulty.faults.auth, faulty.faults.challenge_on_ping_only = "basic", True
    with opened(open_registry, faulty) as repository:
        assert not repository.has_blob(BLOB)


@pytest.mark.parametrize(("challenge", "why"), [
    ('Bearer service="x"', "no realm"),
    ('Bearer realm="http://169.254.169.254/token"', "link-local"),
    ('Bearer realm="http://ann:pw@127.0.0.1/token"', "user name or password"),
    ('Bearer realm="file:///etc/passwd"', "neither http nor https"),
])
def test_unsafe_realms_get_no_password(
    faulty: FaultRegistry, open_registry: Connect, challenge: str, why: str
) -> None:
    faulty.faults.script["head_blob"] = [Answer(401, headers={"WWW-Authenticate": challenge})]
    with opened(open_registry, faulty) as repository, pytest.raises(RegistryError, match=why):
        repository.has_blob(BLOB)


def test_a_token_server_may_redirect_only_within_itself(
    faulty: FaultRegistry, elsewhere: FaultRegistry, open_registry: Connect
) -> None:
    faulty.faults.auth = "bearer"
    faulty.faults.script["token"] = [Answer(307, headers={"Location": "/token?service=faults"})]
    with opened(open_registry, faulty) as repository:
        repository.has_blob(BLOB)
    faulty.faults.script["token"] = [Answer(307, headers={"Location": f"{elsewhere.origin}/token"})]
    with opened(open_registry, faulty) as repository, pytest.raises(RegistryError, match="redirects to"):
        repository.has_blob(BLOB)
    assert elsewhere.seen == []


def test_one_token_for_many_threads(
    faulty: FaultRegistry, open_registry: Connect, progress: SilentProgress, tmp_path: Path
) -> None:
    faulty.faults.auth = "bearer"
    with open_registry(faulty.host, ANN) as client:
        push(client, "team/app", make_plan(tmp_path, sizes=(10, 20, 30, 40, 50, 60)), progress)
    assert len(faulty.token_requests) == 1


# -- origins -----------------------------------------------------------------------------------------------------------


def test_credentials_stay_at_the_registrys_origin(
    faulty: FaultRegistry, elsewhere: FaultRegistry, open_registry: Connect
) -> None:
    """An upload that lives at another origin, and a HEAD that is redirected to one."""
    faulty.faults.auth = "basic"
    faulty.faults.location = lambda origin, path: elsewhere.origin + path
    with opened(open_registry, faulty) as repository:
        repository.has_blob(BLOB)
        upload = repository.start_upload()
        elsewhere.sessions.update(faulty.sessions)
        repository.upload_status(upload)
        redirect = {"Location": f"{elsewhere.origin}/v2/team/app/blobs/{BLOB.digest}"}
        faulty.faults.script["head_blob"] = [Answer(307, headers=redirect)]
        elsewhere.blobs["team/app", str(BLOB.digest)] = DATA
        assert repository.has_blob(BLOB)
    assert len(elsewhere.seen) == 2
    assert all("authorization" not in seen.headers for seen in elsewhere.seen)
    assert "authorization" in faulty.seen[-1].headers


def test_redirects_end(faulty: FaultRegistry, open_registry: Connect) -> None:
    faulty.faults.script["head_blob"] = [Answer(302, headers={"Location": "#again"})] * 20
    with opened(open_registry, faulty) as repository, pytest.raises(RegistryError, match="more than 5 times"):
        repository.has_blob(BLOB)


def test_a_post_is_not_turned_into_a_get(faulty: FaultRegistry, open_registry: Connect) -> None:
    faulty.faults.script["start"] = [Answer(301, headers={"Location": "/v2/"})]
    with opened(open_registry, faulty) as repository, pytest.raises(RegistryError, match="301"):
        repository.start_upload()
    assert faulty.moves() == ["POST"]


@pytest.mark.parametrize(("location", "why"), [
    (lambda origin, path: origin.replace("http://", "http://ann:pw@") + path, "user name or password"),
    (lambda origin, path: "http://169.254.169.254" + path, "link-local"),
    (lambda origin, path: "http://10.0.0.1" + path, "private"),
    (lambda origin, path: "", "without a Location"),
])
def test_unsafe_upload_locations_get_no_bytes(
    faulty: FaultRegistry, open_registry: Connect, location: object, why: str
) -> None:
    faulty.faults.location = location  # type: ignore[assignment]
    with opened(open_registry, faulty) as repository, pytest.raises(RegistryError, match=why):
        repository.start_upload()


def test_a_path_is_location_enough(
    faulty: FaultRegistry, open_registry: Connect, progress: SilentProgress, tmp_path: Path
) -> None:
    """ACR, zot, olareg, Gitea, keppel."""
    faulty.faults.location = lambda origin, path: path
    with open_registry(faulty.host) as client:
        push(client, "team/app", make_plan(tmp_path), progress)
    assert len(faulty.blobs) == 2


# -- reachability ------------------------------------------------------------------------------------------------------


def test_nobody_there_is_said_at_once(open_registry: Connect, time: FakeTime) -> None:
    with open_registry(f"127.0.0.1:{free_port()}") as client, pytest.raises(RegistryError, match="No answer to HEAD"):
        client.repository("a").has_blob(BLOB)
    assert time.pauses == []


def test_a_name_that_is_no_host_is_said_at_once(open_registry: Connect, time: FakeTime) -> None:
    with open_registry("registry.invalid") as client, pytest.raises(RegistryError, match=r"registry\.invalid"):
        client.repository("a").has_blob(BLOB)
    assert time.pauses == []


def test_an_answer_that_never_ends_is_not_read_to_its_end(faulty: FaultRegistry, open_registry: Connect) -> None:
    faulty.faults.script["head_manifest"] = [Answer(200)]
    faulty.faults.script["start"] = [Answer(202, headers={"Location": "/x"}, body=b"x" * 100_000)]
    with opened(open_registry, faulty) as repository, pytest.raises(RegistryError, match="more than 65536 bytes"):
        repository.start_upload()


def test_long_errors_are_cut(faulty: FaultRegistry, open_registry: Connect) -> None:
    faulty.faults.script["start"] = [Answer(400, body=b"x" * 1_000_000)]
    with opened(open_registry, faulty) as repository, pytest.raises(RegistryError) as caught:
        repository.start_upload()
    assert len(caught.value.message) < 1000


# -- TLS ---------------------------------------------------------------------------------------------------------------


def test_tls_with_an_own_authority_and_client_certificates(
    authority: Path, time: FakeTime, progress: SilentProgress, tmp_path: Path
) -> None:
    plan = make_plan(tmp_path)
    trusted = Tls(authority / "ca.pem", authority / "client.pem", authority / "client.key")
    certificates = (f"  tls: {{certificate: {authority / 'server.pem'}, key: {authority / 'server.key'}, "
                    f"clientcas: [{authority / 'ca.pem'}]}}")
    with debian_registry(tmp_path / "registry", certificates) as registry:
        with connect(registry.host, ANN, ConnectionSettings(time.clock, trusted, False), progress.warn) as client:
            push(client, "team/app", plan, progress)
        for tls, hint in ((Tls(), "--ca-file"), (replace(trusted, certificate=None), "--cert")):
            settings = ConnectionSettings(time.clock, tls, plain_http=False)
            with connect(registry.host, ANN, settings, progress.warn) as client, pytest.raises(RegistryError) as caught:
                push(client, "team/app", plan, progress, PushOptions(workers=1))
            assert hint in (caught.value.hint or "")
    assert time.pauses == []


def test_tls_files_where_docker_has_them(
    authority: Path, time: FakeTime, progress: SilentProgress, tmp_path: Path
) -> None:
    certificates = (f"  tls: {{certificate: {authority / 'server.pem'}, key: {authority / 'server.key'}, "
                    f"clientcas: [{authority / 'ca.pem'}]}}")
    with debian_registry(tmp_path / "registry", certificates) as registry:
        directory = tmp_path / "certs.d" / registry.host
        directory.mkdir(parents=True)
        for name, file in (("ca.crt", "ca.pem"), ("client.cert", "client.pem"), ("client.key", "client.key")):
            (directory / name).write_bytes((authority / file).read_bytes())
        tls = Tls(directories=(tmp_path / "nothing.d", tmp_path / "certs.d"))
        settings = ConnectionSettings(time.clock, tls, plain_http=False)
        with connect(registry.host, ANN, settings, progress.warn) as client:
            push(client, "team/app", make_plan(tmp_path), progress)
        (directory / "ca.crt").write_text("no certificate")
        with pytest.raises(UsageError, match="can't be used"), connect(registry.host, ANN, settings, progress.warn):
            pass


def test_tls_spoken_to_a_plain_registry_is_explained(faulty: FaultRegistry, time: FakeTime) -> None:
    settings = ConnectionSettings(time.clock, plain_http=False)
    with connect(faulty.host, ANN, settings, _fail) as client, pytest.raises(RegistryError) as caught:
        client.repository("a").has_blob(BLOB)
    assert "--plain-http" in (caught.value.hint or "")


def test_plain_http_spoken_to_a_tls_registry_is_explained(
    authority: Path, time: FakeTime, tmp_path: Path
) -> None:
    certificates = f"  tls: {{certificate: {authority / 'server.pem'}, key: {authority / 'server.key'}}}"
    with (
        debian_registry(tmp_path / "registry", certificates) as registry,
        connect(registry.host, ANN, ConnectionSettings(time.clock), _fail) as client,
        pytest.raises(RegistryError, match="HTTP request to an HTTPS server"),
    ):
        client.repository("a").start_upload()


def _fail(warning: str) -> None:
    raise AssertionError(warning)
