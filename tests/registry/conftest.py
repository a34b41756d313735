from __future__ import annotations

import re
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import pytest

from assembler.progress import SilentProgress
from assembler.registry.client import RegistryClient, connect
from assembler.registry.connection_settings import ConnectionSettings
from assembler.registry.credentials import ANONYMOUS, Credential
from tests.support.certificates import write_authority
from tests.support.clocks import FakeTime
from tests.support.debian_registry import DebianRegistry, debian_registry, htpasswd
from tests.support.fault_registry import FaultRegistry, fault_registry
from tests.support.recording import RecordingTransport

if TYPE_CHECKING:
    from collections.abc import Iterator

USER = Credential("ann", "pass:word", origin="the tests")


class Connect(Protocol):
    def __call__(
        self, registry: str, credential: Credential = ANONYMOUS, **settings: object
    ) -> AbstractContextManager[RegistryClient]: ...


@pytest.fixture(scope="session")
def plain_registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DebianRegistry]:
    with debian_registry(tmp_path_factory.mktemp("plain")) as registry:
        yield registry


@pytest.fixture(scope="session")
def password_registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DebianRegistry]:
    directory = tmp_path_factory.mktemp("password")
    with debian_registry(directory, htpasswd(directory, USER.username, USER.password)) as registry:
        yield registry


@pytest.fixture
def faulty() -> Iterator[FaultRegistry]:
    with fault_registry() as registry:
        yield registry


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def time() -> FakeTime:
    return FakeTime()


@pytest.fixture
def progress() -> SilentProgress:
    return SilentProgress()


@pytest.fixture
def traffic() -> RecordingTransport:
    return RecordingTransport()


@pytest.fixture
def open_registry(time: FakeTime, progress: SilentProgress, traffic: RecordingTransport) -> Connect:
    """Connects as the command line would, on a clock that does not wait."""

    @contextmanager
    def open_(registry: str, credential: Credential = ANONYMOUS, **settings: object) -> Iterator[RegistryClient]:
        connection = ConnectionSettings(time.clock, **settings)  # type: ignore[arg-type]
        with connect(registry, credential, connection, progress.warn, transport=traffic) as client:
            yield client

    return open_


@pytest.fixture
def repository_name(request: pytest.FixtureRequest) -> str:
    """A repository of its own for each test, on a registry that many tests share."""
    return "t/" + re.sub(r"[^a-z0-9]+", "-", request.node.name.lower()).strip("-")
