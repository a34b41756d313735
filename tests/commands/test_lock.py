from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent

import pytest

from assembler.commands.lock import fetch_sources, lock
from assembler.commands.open_recipe import open_recipe
from assembler.errors import SourceError
from assembler.progress import SilentProgress
from assembler.source.download import Downloads, Waiting, new_client
from assembler.source.fetch import Fetcher
from assembler.source.source_cache import Cache
from tests.source.server import Served, serving

CONTENT = b"a kernel's source"


@pytest.fixture
def served() -> Iterator[Served]:
    with serving(Served(CONTENT)) as served:
        yield served


@pytest.fixture
def progress() -> SilentProgress:
    return SilentProgress()


@pytest.fixture
def fetcher(tmp_path: Path, progress: SilentProgress) -> Iterator[Fetcher]:
    with new_client() as client:
        yield Fetcher(Cache(tmp_path / "cache"),
                      Downloads(client, progress, Waiting(time.sleep, time.monotonic, 120)))


@pytest.fixture
def path(tmp_path: Path, served: Served) -> Path:
    (tmp_path / "driver.run").write_bytes(b"a driver")
    path = tmp_path / "demo.toml"
    path.write_text(dedent(f"""
        name = "demo"
        base = {{ image = "a" }}
        [[source]]
        url = "{served.url}"
        [[source]]
        url = "driver.run"
        [[image]]
        name = "out"
    """))
    return path


def test_a_build_pins_what_it_fetches_for_the_first_time(
    path: Path, fetcher: Fetcher, progress: SilentProgress, served: Served
) -> None:
    fetched = fetch_sources(open_recipe(path, {}), fetcher)

    assert [file.path.read_bytes() for file in fetched.values()] == [CONTENT, b"a driver"]
    assert progress.warnings == [
        f'source "{name}" had no sha256; it is pinned now in demo.lock, which belongs into version control beside the '
        "recipe"
        for name in ("linux.tar.xz", "driver.run")
    ]
    pinned = [source.sha256 for source in open_recipe(path, {}).sources]
    assert pinned == [hashlib.sha256(content).hexdigest() for content in (CONTENT, b"a driver")]


def test_what_is_pinned_gives_no_warning(path: Path, fetcher: Fetcher, progress: SilentProgress) -> None:
    lock(open_recipe(path, {}), fetcher)
    fetch_sources(open_recipe(path, {}), fetcher)

    assert progress.warnings == []


def test_lock_fetches_only_what_is_not_pinned(path: Path, fetcher: Fetcher, served: Served) -> None:
    first = lock(open_recipe(path, {}), fetcher)
    second = lock(open_recipe(path, {}), fetcher)

    assert [source.declared for source in first] == [served.url, "driver.run"]
    assert second == {}
    assert len(served.ranges) == 1


def test_a_source_that_changed_since_is_refused(path: Path, fetcher: Fetcher, tmp_path: Path) -> None:
    lock(open_recipe(path, {}), fetcher)
    (tmp_path / "driver.run").write_bytes(b"another driver")

    with pytest.raises(SourceError, match=r"driver.run is not the file that was pinned"):
        fetch_sources(open_recipe(path, {}), fetcher)


def test_the_lock_file_names_no_folder_of_this_machine(path: Path, fetcher: Fetcher, tmp_path: Path) -> None:
    lock(open_recipe(path, {}), fetcher)

    assert str(tmp_path) not in (tmp_path / "demo.lock").read_text()
