from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING

import pytest

from assembler.layer import many_files
from tests.support.both_ways import only_python

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(params=["C", "Python"] if many_files.in_c is not None else ["Python"])
def each_way(request: pytest.FixtureRequest) -> Iterator[None]:
    with only_python() if request.param == "Python" else nullcontext():
        yield
