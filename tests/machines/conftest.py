from __future__ import annotations

import tempfile
from typing import TYPE_CHECKING

import pytest

from tests.support.machine import Machine, debian

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def pristine() -> Iterator[Machine]:
    """Debian 13 with a fresh clone and nothing else; whoever installs something takes a copy."""
    with debian("trixie") as machine:
        machine.check_out()
        yield machine


@pytest.fixture(scope="session")
def debian_13(pristine: Machine) -> Iterator[Machine]:
    """What one test installs there, the next one finds."""
    with tempfile.TemporaryDirectory(dir="/var/tmp", prefix="imgasm-machine-") as directory:
        yield pristine.copy(directory)


@pytest.fixture(scope="session")
def next_debian() -> Iterator[Machine]:
    """What comes after 13, for its newer Python."""
    with debian("forky", "python3.14", "python3.14-venv") as machine:
        machine.check_out()
        yield machine


@pytest.fixture
def fresh(pristine: Machine) -> Iterator[Machine]:
    with tempfile.TemporaryDirectory(dir="/var/tmp", prefix="imgasm-machine-") as directory:
        yield pristine.copy(directory)
