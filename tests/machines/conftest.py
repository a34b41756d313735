from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.machine import Machine, debian

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def debian_13() -> Iterator[Machine]:
    """With a fresh clone, and nothing else."""
    with debian("trixie") as machine:
        machine.check_out()
        yield machine
