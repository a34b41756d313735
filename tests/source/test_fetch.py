from __future__ import annotations

import hashlib
import os
import random
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from assembler.errors import SourceError
from assembler.progress import SilentProgress
from assembler.source.download import Downloads, Waiting, new_client
from assembler.source.fetch import Fetcher
from assembler.source.source_cache import Cache
from tests.source.server import ETAG, Served, serving

CONTENT = random.Random(1).randbytes(3_000_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()
OTHER = random.Random(2).randbytes(3_000_000)
OTHER_SHA256 = hashlib.sha256(OTHER).hexdigest()


@pytest.fixture
def served() -> Iterator[Served]:
    with serving(Served(CONTENT)) as served:
        yield served


@pytest.fixture
def client() -> Iterator[httpx.Client]:
    with new_client() as client:
        yield client


@pytest.fixture
def waits() -> list[float]:
    return []


def downloads(client: httpx.Client, sleep: Callable[[float], None]) -> Downloads:
    return Downloads(client, SilentProgress(), Waiting(sleep, time.monotonic, 120))


@pytest.fixture
def fetcher(tmp_path: Path, client: httpx.Client, waits: list[float]) -> Fetcher:
    return Fetcher(Cache(tmp_path / "cache"), downloads(client, waits.append))


@pytest.fixture
def next_run(tmp_path: Path, client: httpx.Client, waits: list[float]) -> Callable[[], Fetcher]:
    """A new process, as far as the cache can tell."""
    return lambda: Fetcher(Cache(tmp_path / "cache"), downloads(client, waits.append))


def test_a_download_is_stored_under_its_digest(fetcher: Fetcher, served: Served, tmp_path: Path) -> None:
    fetched = fetcher.fetch(served.url, SHA256)

    assert fetched.path == tmp_path / "cache" / "sha256" / SHA256
    assert fetched.path.read_bytes() == CONTENT
    assert (fetched.sha256, fetched.size) == (SHA256, len(CONTENT))
    assert served.encodings == ["identity"]


def test_a_source_without_digest_tells_the_one_it_has(fetcher: Fetcher, served: Served) -> None:
    assert fetcher.fetch(served.url, None).sha256 == SHA256


def test_what_is_in_the_cache_is_not_fetched_again(next_run: Callable[[], Fetcher], served: Served) -> None:
    next_run().fetch(served.url, SHA256)
    next_run().fetch(served.url, SHA256)

    assert len(served.ranges) == 1


def test_no_umask_makes_a_cache_that_the_next_run_refuses(next_run: Callable[[], Fetcher], served: Served) -> None:
    umask = os.umask(0)
    try:
        next_run().fetch(served.url, SHA256)
    finally:
        os.umask(umask)
    assert next_run().fetch(served.url, SHA256).path.read_bytes() == CONTENT


def test_a_damaged_file_in_the_cache_is_fetched_again(next_run: Callable[[], Fetcher], served: Served) -> None:
    path = next_run().fetch(served.url, SHA256).path
    path.write_bytes(CONTENT[:-1] + b"x")

    assert next_run().fetch(served.url, SHA256).path.read_bytes() == CONTENT
    assert len(served.ranges) == 2


def test_a_broken_connection_is_resumed_where_it_ended(fetcher: Fetcher, served: Served, waits: list[float]) -> None:
    served.cuts = [1_000_000, 500_000]

    assert fetcher.fetch(served.url, SHA256).path.read_bytes() == CONTENT
    assert served.ranges == [None, "bytes=1000000-", "bytes=1500000-"]
    assert served.if_ranges == [None, ETAG, ETAG]
    assert waits == [1.0, 1.0]


def test_the_next_run_goes_on_where_the_last_gave_up(next_run: Callable[[], Fetcher], served: Served) -> None:
    served.cuts = [1_000_000, *[0] * 14]
    with pytest.raises(SourceError, match=r"linux.tar.xz can't be fetched: .*") as raised:
        next_run().fetch(served.url, None)
    assert raised.value.hint == ("Run the same command again: it continues from what was fetched so far. "
                                 "--retry-for sets how long it tries.")

    served.cuts, served.ranges = [], []
    assert next_run().fetch(served.url, None).path.read_bytes() == CONTENT
    assert served.ranges == ["bytes=1000000-"]


def test_a_file_that_changed_in_between_is_fetched_from_the_start(fetcher: Fetcher, served: Served) -> None:
    served.cuts = [1_000_000]

    def change(_: float) -> None:
        served.content, served.etag = OTHER, '"v2"'

    changing = Fetcher(fetcher.cache, downloads(fetcher.downloads.client, change))
    assert changing.fetch(served.url, None).path.read_bytes() == OTHER
    assert served.ranges == [None, "bytes=1000000-"]


def test_a_server_that_takes_no_ranges_sends_all_again(fetcher: Fetcher, served: Served) -> None:
    served.takes_ranges = False
    served.cuts = [1_000_000]

    assert fetcher.fetch(served.url, SHA256).path.read_bytes() == CONTENT
    assert len(served.ranges) == 2


def test_without_etag_an_unpinned_download_is_never_joined(fetcher: Fetcher, served: Served) -> None:
    served.etag = None
    served.cuts = [1_000_000]

    assert fetcher.fetch(served.url, None).path.read_bytes() == CONTENT
    assert served.ranges == [None, None]


def test_a_weak_etag_does_not_count(fetcher: Fetcher, served: Served) -> None:
    served.etag = 'W/"v1"'
    served.cuts = [1_000_000]

    assert fetcher.fetch(served.url, None).path.read_bytes() == CONTENT
    assert served.ranges == [None, None]


def test_without_etag_a_wrongly_joined_download_is_noticed_and_fetched_anew(fetcher: Fetcher, served: Served) -> None:
    served.etag = None
    served.cuts = [1_000_000]

    def change(_: float) -> None:
        served.content = OTHER

    changing = Fetcher(fetcher.cache, downloads(fetcher.downloads.client, change))
    assert changing.fetch(served.url, OTHER_SHA256).path.read_bytes() == OTHER
    assert served.ranges == [None, "bytes=1000000-", None]


def test_a_range_that_nobody_asked_for_is_not_believed(fetcher: Fetcher, served: Served) -> None:
    served.shift = 5
    served.cuts = [1_000_000]

    assert fetcher.fetch(served.url, SHA256).path.read_bytes() == CONTENT
    assert served.ranges == [None, "bytes=1000000-", None]


def test_a_file_that_shrank_is_fetched_from_the_start(next_run: Callable[[], Fetcher], served: Served) -> None:
    served.etag = None
    served.cuts = [2_000_000, *[0] * 14]
    with pytest.raises(SourceError):
        next_run().fetch(served.url, SHA256)
    served.cuts, served.content = [], CONTENT[:1_500_000]
    small = hashlib.sha256(served.content).hexdigest()

    assert next_run().fetch(served.url, small).sha256 == small


def test_another_file_is_refused_with_both_digests(fetcher: Fetcher, served: Served, tmp_path: Path) -> None:
    served.content = OTHER

    with pytest.raises(SourceError) as raised:
        fetcher.fetch(served.url, SHA256)
    assert raised.value.message == f"{served.url} is not the file that was pinned"
    assert raised.value.detail == f"expected sha256 {SHA256}\nfetched  sha256 {OTHER_SHA256}"
    assert raised.value.hint == (
        "If the new file is right, change sha256 in the recipe, or remove the source from the lock file.")
    assert not list((tmp_path / "cache").glob("sha256/*"))
    assert [path.suffix for path in (tmp_path / "cache" / "partial").iterdir()] == [".lock"]


@pytest.mark.parametrize("status", [429, 500, 503])
def test_an_error_that_may_pass_is_tried_again(
    fetcher: Fetcher, served: Served, waits: list[float], status: int
) -> None:
    served.statuses = [status, status]

    assert fetcher.fetch(served.url, SHA256).sha256 == SHA256
    assert waits == [1.0, 2.0]


def test_a_server_may_say_how_long_to_wait(fetcher: Fetcher, served: Served, waits: list[float]) -> None:
    served.statuses, served.headers = [503], {"Retry-After": "7"}

    fetcher.fetch(served.url, SHA256)
    assert waits == [7.0]


def test_a_file_that_is_not_there_is_told_at_once(fetcher: Fetcher, served: Served, waits: list[float]) -> None:
    served.statuses = [404]

    with pytest.raises(SourceError) as raised:
        fetcher.fetch(served.url + "?token=secret", SHA256)
    assert raised.value.message == f"{served.url} can't be fetched: the server answered 404 Not Found"
    assert raised.value.hint == "Check the URL in the recipe."
    assert waits == []


def test_a_server_that_is_away_is_tried_four_times(fetcher: Fetcher, waits: list[float]) -> None:
    with serving(Served(CONTENT)) as gone:
        pass

    with pytest.raises(SourceError, match="can't be fetched"):
        fetcher.fetch(gone.url, SHA256)
    assert waits == [1.0, 2.0, 4.0]


def test_two_builds_share_one_download(next_run: Callable[[], Fetcher], served: Served) -> None:
    fetchers = [next_run() for _ in range(4)]
    results: list[bytes] = []

    def read(fetcher: Fetcher) -> None:
        results.append(fetcher.fetch(served.url, SHA256).path.read_bytes())

    threads = [threading.Thread(target=read, args=(fetcher,)) for fetcher in fetchers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert results == [CONTENT] * 4
    assert len(served.ranges) == 1


def test_an_empty_file_is_a_file(fetcher: Fetcher, served: Served) -> None:
    served.content = b""

    assert fetcher.fetch(served.url, None).size == 0


@pytest.mark.parametrize("pin", [SHA256, None])
def test_a_local_file_that_changes_later_does_not_change_what_was_pinned(
    next_run: Callable[[], Fetcher], tmp_path: Path, pin: str | None
) -> None:
    path = tmp_path / "a driver.run"
    path.write_bytes(CONTENT)

    fetched = next_run().fetch(path.as_uri(), pin)
    assert (fetched.sha256, fetched.size) == (SHA256, len(CONTENT))
    with path.open("r+b") as file:
        file.write(b"changed")

    assert fetched.path == tmp_path / "cache" / "sha256" / SHA256
    assert fetched.path.read_bytes() == CONTENT
    with pytest.raises(SourceError, match=r"a driver\.run is not the file that was pinned"):
        next_run().fetch(path.as_uri(), SHA256)
    assert fetched.path.read_bytes() == CONTENT


def test_a_local_file_that_the_cache_has_is_not_copied_again(next_run: Callable[[], Fetcher], tmp_path: Path) -> None:
    path = tmp_path / "driver.run"
    path.write_bytes(CONTENT)
    first = next_run().fetch(path.as_uri(), SHA256).path.stat()

    assert next_run().fetch(path.as_uri(), SHA256).path.stat().st_ino == first.st_ino


def test_a_copy_that_was_killed_is_made_anew(fetcher: Fetcher, tmp_path: Path) -> None:
    path = tmp_path / "driver.run"
    path.write_bytes(CONTENT)
    with fetcher.cache.partial(path.as_uri(), lambda: None) as partial:
        partial.append(b"half of it")

    assert fetcher.fetch(path.as_uri(), SHA256).path.read_bytes() == CONTENT
    assert [path.suffix for path in (tmp_path / "cache" / "partial").iterdir()] == [".lock"]


def test_a_local_file_on_another_file_system_is_copied_too(tmp_path: Path, client: httpx.Client) -> None:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as directory:
        Path(directory, "driver.run").write_bytes(CONTENT)
        fetcher = Fetcher(Cache(tmp_path / "cache"), downloads(client, time.sleep))

        assert fetcher.fetch(Path(directory, "driver.run").as_uri(), SHA256).path.read_bytes() == CONTENT


def test_a_local_file_is_checked_too(fetcher: Fetcher, tmp_path: Path) -> None:
    path = tmp_path / "driver.run"
    path.write_bytes(OTHER)

    with pytest.raises(SourceError, match=r"driver.run is not the file that was pinned"):
        fetcher.fetch(path.as_uri(), SHA256)


def test_a_local_file_that_is_missing_is_named(fetcher: Fetcher, tmp_path: Path) -> None:
    with pytest.raises(SourceError) as raised:
        fetcher.fetch((tmp_path / "driver.run").as_uri(), None)
    assert raised.value.message == f"the source {tmp_path}/driver.run can't be read: No such file or directory"


def test_a_cache_that_can_not_be_written_is_told(client: httpx.Client, served: Served, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file where a folder should be")
    fetcher = Fetcher(Cache(tmp_path / "cache"), downloads(client, time.sleep))

    with pytest.raises(SourceError, match=r"can't be stored in the cache: Not a directory") as raised:
        fetcher.fetch(served.url, SHA256)
    assert raised.value.hint == "The cache folder must be writable, and its disk must have room for the file."
