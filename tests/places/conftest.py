from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.debian_registry import debian_registry
from tests.support.forked import Forked
from tests.support.layouts import Handmade

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.debian_registry import DebianRegistry


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DebianRegistry]:
    with debian_registry(tmp_path_factory.mktemp("registry")) as registry:
        yield registry


@pytest.fixture
def imgasm(tmp_path: Path) -> Forked:
    return Forked(tmp_path)


@pytest.fixture
def made(tmp_path: Path) -> Handmade:
    """The layout ``in``, still empty."""
    return Handmade(tmp_path / "in")
