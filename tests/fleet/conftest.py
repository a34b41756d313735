from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.debian_registry import debian_registry

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.debian_registry import DebianRegistry


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DebianRegistry]:
    with debian_registry(tmp_path_factory.mktemp("registry")) as registry:
        yield registry
