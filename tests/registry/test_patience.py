"""A registry that is busy: patience is by time, so that how often it says no decides nothing."""

from __future__ import annotations

import random
from collections import defaultdict
from typing import TYPE_CHECKING

import pytest

from assembler.commands.push import Wanted, push
from assembler.image.layout import Layout
from assembler.model.place import Place, Store
from assembler.model.reference import Reference
from assembler.places.world import World
from assembler.places.world_settings import WorldSettings
from assembler.progress import SilentProgress
from assembler.registry.push import PushOptions
from tests.cli.running import imgasm
from tests.image.imagemaking import add_image
from tests.support.clocks import FakeTime
from tests.support.fault_registry import Answer, FaultRegistry, fault_registry

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Busy(list[Answer | None]):
    """Answers without an end, of which so many are refusals."""

    def __init__(self, share: float, seed: int) -> None:
        super().__init__([None])
        self._chance, self._share = random.Random(seed), share

    def pop(self, index: object = -1) -> Answer | None:  # type: ignore[override]
        if self._chance.random() >= self._share:
            return None
        status = self._chance.choice((429, 503))
        return Answer(status, headers={"Retry-After": "0"} if status == 429 else {})


@pytest.fixture
def busy() -> Iterator[FaultRegistry]:
    with fault_registry() as registry:
        yield registry


def test_fifty_images_through_a_registry_that_refuses_three_of_ten(tmp_path: Path, busy: FaultRegistry) -> None:
    busy.faults.script = defaultdict(lambda: Busy(0.3, seed=13))
    layout = Layout.create(tmp_path / "layout")
    for number in range(50):
        name = Reference.parse(f"{busy.host}/app{number}:1")
        layout.tag(add_image(layout, {f"file{number}": b"%d" % number}).descriptor, name)
    world = World.from_settings(WorldSettings({"HOME": str(tmp_path)}), SilentProgress(), FakeTime().clock)
    pushed = push(Place(Store.LAYOUT, str(layout.root)), Wanted(), world, PushOptions())
    assert len(pushed) == len([name for name, tag in busy.manifests if tag == "1"]) == 50


def test_retry_for_is_how_long(tmp_path: Path, busy: FaultRegistry) -> None:
    busy.faults.script["get_manifest"] = [Answer(503)] * 1000
    for patience, times in (("0s", "once"), ("1s", "times")):
        done = imgasm(tmp_path, "size-report", f"{busy.host}/app:1", "--retry-for", patience)
        assert done.returncode == 9 and "tried" in done.stderr and times in done.stderr, done.stderr
        assert "--retry-for allows more" in done.stderr
    done = imgasm(tmp_path, "size-report", f"{busy.host}/app:1", "--retry-for", "5 parsecs")
    assert done.returncode == 2 and "is not a duration" in done.stderr
