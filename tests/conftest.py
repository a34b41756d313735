from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from assembler.engine.container import ContainerSpec
from assembler.model.container import Container
from tests.support import engines

if TYPE_CHECKING:
    from collections.abc import Iterator

    from assembler.engine.client import Engine
    from assembler.engine.session import Session

_numbers = itertools.count()

# How long an example takes says more about the machine's other work than about the code.
settings.register_profile("imgasm", deadline=None)
settings.load_profile("imgasm")


@pytest.fixture(scope="module", params=["docker", "podman"])
def engine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """An engine is chosen through the environment, so it must be gone before the next module's tests run."""
    directory = tmp_path_factory.mktemp("podman")
    with engines.docker() if request.param == "docker" else engines.podman(directory) as engine:
        yield engine


@pytest.fixture(scope="module")
def base(engine: Engine) -> Iterator[str]:
    image = engines.import_rootfs(engine, engines.busybox_rootfs(), {})
    yield image
    engine.images.remove(image)


@pytest.fixture
def spec(base: str) -> ContainerSpec:
    return ContainerSpec(base, f"test{next(_numbers)}", Container(network="none"))


@pytest.fixture
def session(engine: Engine, spec: ContainerSpec) -> Iterator[Session]:
    with engine.session(spec) as session:
        yield session
