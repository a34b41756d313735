from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support import engines

if TYPE_CHECKING:
    from collections.abc import Iterator

    from assembler.engine.client import Engine


@pytest.fixture(scope="package", params=["docker", "containerd", "podman"])
def engine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """One engine more than elsewhere: its files are found in another way."""
    if request.param == "docker":
        chosen = engines.docker()
    elif request.param == "containerd":
        chosen = engines.containerd_store()
    else:
        chosen = engines.podman(tmp_path_factory.mktemp("podman"))
    with chosen as engine:
        yield engine
