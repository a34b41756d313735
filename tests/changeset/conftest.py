from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support import corpus
from tests.support.making import Made, make, prove
from tests.support.scene import scene


@pytest.fixture(scope="session")
def traps() -> Iterator[Made]:
    """One layer of all the traps in the corpus."""
    with scene(corpus.base, container=corpus.container) as done:
        yield prove(make(done))
