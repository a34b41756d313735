"""Readers that share no code with imgasm unpack one image with all traps: each must see the container's very tree.

What a reader can't do for any layer is asserted, so that a newer one that can is noticed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from assembler.changeset.capture import changeset
from assembler.changeset.rules import Rules
from tests.referees import engines
from tests.referees.engines import Refused, run
from tests.referees.image import TrapImage, build
from tests.support import corpus
from tests.support.rootfs import Facts
from tests.support.scene import Goal, scene, wished

pytestmark = pytest.mark.root

BEFORE_1970 = [(b"21_times/before", "mtime", -5, 0), (b"21_times/before_fraction", "mtime", -6, 0)]
"""Docker, containerd and containers-storage set times before 1970 to 1970."""


@dataclass(frozen=True)
class Corpus:
    """The image in both codecs, and what it must become."""

    images: dict[str, TrapImage]
    lowers: list[Path]
    goal: Goal


@pytest.fixture(scope="module")
def traps(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Corpus]:
    with scene(corpus.base, container=corpus.container) as done:
        entries = changeset(done.overlay(), None, Rules(()), Rules(())).changeset.entries
        images = {codec: build(tmp_path_factory.mktemp(codec), codec, done.base_export, entries)
                  for codec in ("gzip", "zstd")}
        written = frozenset(entry.path for entry in entries)
        goal = Goal(wished(done.base, done.final, lambda path: True), done.base, lambda path: True, written)
        yield Corpus(images, done.lowers, goal)


@pytest.fixture
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Short, because the daemons' sockets are in it."""
    return tmp_path_factory.mktemp("r")


def version(*argv: str) -> tuple[int, ...]:
    found = re.search(r"(\d+)\.(\d+)\.?(\d*)", run(*argv))
    assert found
    return tuple(int(number or 0) for number in found.groups())


def missed(corpus: Corpus, made: Facts) -> list[object]:
    return sorted(corpus.goal.missed(made), key=repr)


def test_umoci(traps: Corpus, directory: Path) -> None:
    assert missed(traps, engines.umoci(traps.images["gzip"], directory)) == []


def test_umoci_before_0_5_reads_no_zstd(traps: Corpus, directory: Path) -> None:
    if version("umoci", "--version") < (0, 5, 0):
        with pytest.raises(Refused, match=r"not correct mediatype.*tar\+zstd"):
            engines.umoci(traps.images["zstd"], directory)
    else:
        assert missed(traps, engines.umoci(traps.images["zstd"], directory)) == []


@pytest.mark.parametrize("codec", ["gzip", "zstd"])
def test_containers_storage_on_overlay(traps: Corpus, directory: Path, codec: str) -> None:
    assert missed(traps, engines.podman(traps.images[codec], directory, "overlay")) == BEFORE_1970


@pytest.mark.parametrize("codec", ["gzip", "zstd"])
def test_containers_storage_on_vfs_leaves_a_directory_its_removed_attribute(
    traps: Corpus, directory: Path, codec: str
) -> None:
    fact = traps.goal.wish[b"14_attributes/less"]
    left = (b"14_attributes/less", fact.itself, (*fact.itself[:-1], (("user.a", b"1"),)))
    made = engines.podman(traps.images[codec], directory, "vfs")
    assert missed(traps, made) == [left, *BEFORE_1970]


@pytest.mark.parametrize("driver", ["overlay2", "vfs"])
def test_docker_classic(traps: Corpus, directory: Path, driver: str) -> None:
    assert missed(traps, engines.docker(traps.images["gzip"], directory, driver)) == BEFORE_1970


def test_docker_before_23_reads_no_zstd(traps: Corpus, directory: Path) -> None:
    if version("dockerd", "--version") < (23, 0, 0):
        with pytest.raises(Refused, match="invalid tar header"):
            engines.docker(traps.images["zstd"], directory)
    else:
        assert missed(traps, engines.docker(traps.images["zstd"], directory)) == BEFORE_1970


@pytest.mark.parametrize("codec", ["gzip", "zstd"])
def test_containerd(traps: Corpus, directory: Path, codec: str) -> None:
    assert missed(traps, engines.containerd(traps.images[codec], directory)) == BEFORE_1970


def test_gnu_tar(traps: Corpus, directory: Path) -> None:
    assert missed(traps, engines.gnu_tar(traps.images["gzip"], directory, traps.lowers)) == []


UNPACK: dict[str, Callable[[TrapImage, Path], Facts]] = {
    "docker overlay2": engines.docker,
    "podman overlay": lambda image, directory: engines.podman(image, directory, "overlay"),
}


@pytest.mark.parametrize("name", UNPACK)
def test_trap_10_these_engines_change_parents_that_a_layer_leaves_out(
    tmp_path: Path, directory: Path, name: str
) -> None:
    """Why ``stack._exposed_parents`` exists: without those entries /tmp becomes root's, with mode 0755."""

    def base(root: Path) -> None:
        (root / "tmp").mkdir()
        (root / "tmp").chmod(0o1777)

    with scene(base, container=lambda root: corpus.write(root / "tmp/x")) as done:
        entries = changeset(done.overlay(), None, Rules(()), Rules(())).changeset.entries
        assert [entry.path for entry in entries] == [b"tmp", b"tmp/x"]
        image = build(tmp_path, "gzip", done.base_export, entries[1:])
    assert UNPACK[name](image, directory)[b"tmp"].mode == 0o755
