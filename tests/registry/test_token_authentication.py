"""Token authentication as Debian's docker-registry demands it."""

from __future__ import annotations

import time as real_time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from assembler.errors import RegistryError
from assembler.registry.auth import Authenticator
from assembler.registry.client import connect
from assembler.registry.connection_settings import ConnectionSettings
from assembler.registry.credentials import ANONYMOUS, Credential
from assembler.registry.login import check_login
from assembler.registry.origin import Origin
from assembler.registry.push import PushOptions, push
from assembler.registry.responses import Reply
from assembler.registry.retry import Clock
from assembler.registry.upload import BlobOutcome
from tests.registry.conftest import USER, Connect
from tests.support.clocks import FakeTime
from tests.support.debian_registry import DebianRegistry, debian_registry
from tests.support.images import make_plan
from tests.support.token_server import TokenServer, token_server

if TYPE_CHECKING:
    from collections.abc import Iterator

    from assembler.progress import SilentProgress
    from tests.support.recording import RecordingTransport


@pytest.fixture
def tokens() -> Iterator[TokenServer]:
    with token_server(USER.username, USER.password) as server:
        yield server


@pytest.fixture
def registry(tokens: TokenServer, tmp_path: Path) -> Iterator[DebianRegistry]:
    with debian_registry(tmp_path / "registry", tokens.registry_config(tmp_path)) as registry:
        yield registry


def test_one_token_serves_a_whole_push(
    registry: DebianRegistry, tokens: TokenServer, open_registry: Connect, progress: SilentProgress, tmp_path: Path,
) -> None:
    with open_registry(registry.host, USER) as client:
        report = push(client, "team/app", make_plan(tmp_path, sizes=(1000, 2000, 3000)), progress)

    assert report.count(BlobOutcome.SENT) == 4
    [(method, query, authorization)] = tokens.requests
    assert method == "GET"
    assert query["scope"] == ["repository:team/app:pull,push"]
    assert query["service"] == ["tests-service"]
    assert authorization is not None


def test_mounting_asks_for_the_right_to_read_the_source(
    registry: DebianRegistry, tokens: TokenServer, open_registry: Connect, progress: SilentProgress, tmp_path: Path,
) -> None:
    plan = make_plan(tmp_path, sizes=(1000,))
    with open_registry(registry.host, USER) as client:
        push(client, "team/base", plan, progress)
        tokens.requests.clear()
        report = push(client, "team/app", plan, progress, PushOptions(mount_from=("team/base",)))

    assert report.count(BlobOutcome.MOUNTED) == 2
    assert ["repository:team/app:pull,push", "repository:team/base:pull"] in [
        query["scope"] for _, query, _ in tokens.requests
    ]


def test_an_identity_token_is_exchanged(
    registry: DebianRegistry, tokens: TokenServer, open_registry: Connect, progress: SilentProgress, tmp_path: Path,
) -> None:
    tokens.name_of_token = "access_token"
    with open_registry(registry.host, Credential(identity_token=tokens.refresh_token)) as client:
        push(client, "team/app", make_plan(tmp_path), progress)

    [(method, form, authorization)] = tokens.requests
    assert method == "POST"
    assert form["grant_type"] == ["refresh_token"]
    assert authorization is None


def test_a_registry_token_is_sent_as_it_is(
    registry: DebianRegistry, tokens: TokenServer, open_registry: Connect, progress: SilentProgress, tmp_path: Path,
) -> None:
    token = tokens.grant(["repository:team/app:pull,push"])
    with open_registry(registry.host, Credential(registry_token=token)) as client:
        push(client, "team/app", make_plan(tmp_path), progress)

    assert tokens.requests == []


def test_a_token_is_renewed_before_it_expires(
    registry: DebianRegistry, tokens: TokenServer, open_registry: Connect, progress: SilentProgress, tmp_path: Path,
    time: object,
) -> None:
    from tests.support.clocks import FakeTime

    assert isinstance(time, FakeTime)
    tokens.announce_expiry = False  # then it lasts 60 s, and is renewed when 30 s are left
    with open_registry(registry.host, USER) as client:
        push(client, "team/app", make_plan(tmp_path, tags=("a",)), progress)
        time.now += 29
        push(client, "team/app", make_plan(tmp_path, tags=("b",)), progress)
        assert len(tokens.requests) == 1
        time.now += 2
        push(client, "team/app", make_plan(tmp_path, tags=("c",)), progress)

    assert len(tokens.requests) == 2


def test_an_expired_token_is_replaced_once(
    registry: DebianRegistry, tokens: TokenServer, open_registry: Connect, progress: SilentProgress, tmp_path: Path,
) -> None:
    tokens.lasts = -3600  # expired when issued, beyond the 60 s of leeway; the reply still says it is good
    with open_registry(registry.host, USER) as client, pytest.raises(RegistryError, match="401"):
        push(client, "team/app", make_plan(tmp_path), progress, PushOptions(workers=1))

    assert len(tokens.requests) == 2


def test_a_token_that_is_not_valid_yet_is_sent_again_a_little_later(
    registry: DebianRegistry, tokens: TokenServer, progress: SilentProgress, tmp_path: Path
) -> None:
    """The registry forgives 60 s. A new token would be too early again, so it is the same one."""
    tokens.ahead = 10 + 60 + 2
    pauses: list[float] = []

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        real_time.sleep(seconds)

    clock = Clock(real_time.monotonic, real_time.time, sleep, lambda: 1.0)
    with connect(registry.host, USER, ConnectionSettings(clock), progress.warn) as client:
        push(client, "team/app", make_plan(tmp_path), progress, PushOptions(workers=1))

    assert pauses == [2.0]
    assert len(tokens.requests) == 1


@pytest.mark.parametrize(("realm", "credential", "told"), [
    ("https://auth.r.example/token", USER, False),
    ("https://tokens.elsewhere.example/token", USER, True),
    ("https://tokens.elsewhere.example/token", Credential(identity_token="geheim", origin="x"), True),
    ("https://tokens.elsewhere.example/token", replace(USER, stored=True), False),
    ("https://tokens.elsewhere.example/token", ANONYMOUS, False),
    ("https://10.0.0.1/token", USER, True),
])
def test_who_gets_a_password_for_the_first_time_is_told(realm: str, credential: Credential, told: bool) -> None:
    challenge = {"WWW-Authenticate": f'Bearer realm="{realm}"'}
    warnings: list[str] = []
    origin = Origin("https", "10.0.0.2" if "10." in realm else "eu.r.example", 443)
    refusal = Reply("GET", origin.url("/v2/"), 401, httpx.Headers(challenge))
    given = Reply("GET", httpx.URL(realm), 200, httpx.Headers(), b'{"token": "t"}')
    auth = Authenticator(origin, credential, FakeTime().clock, lambda *_: given, warnings.append)
    assert auth.answer(refusal, (), None) == "Bearer t"
    assert [warning for warning in warnings if httpx.URL(realm).host in warning] == warnings
    assert bool(warnings) is told
    assert "geheim" not in "".join(warnings)


def test_a_login_is_checked_without_asking_for_a_repository(
    registry: DebianRegistry, tokens: TokenServer, open_registry: Connect
) -> None:
    with open_registry(registry.host, USER) as client:
        assert check_login(client)
    assert "scope" not in tokens.requests[0][1]
    with open_registry(registry.host, replace(USER, password="geheim")) as client, pytest.raises(RegistryError):
        check_login(client)


def test_a_refused_password_is_the_token_servers_word(
    registry: DebianRegistry, tokens: TokenServer, open_registry: Connect, progress: SilentProgress, tmp_path: Path,
    traffic: RecordingTransport,
) -> None:
    wrong = replace(USER, password="geheim", origin="auth.json")
    with open_registry(registry.host, wrong) as client, pytest.raises(RegistryError) as caught:
        push(client, "team/app", make_plan(tmp_path), progress, PushOptions(workers=1))

    assert "who are you?" in caught.value.message
    assert "auth.json" in (caught.value.hint or "")
    assert len(tokens.requests) == 1
