"""The meter on a real overlay and a real disk."""

from __future__ import annotations

import itertools
import os
import resource
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from assembler.measure import step_meter
from assembler.measure.peak_watch import Watch
from assembler.measure.step_meter import Directories, Meter


@contextmanager
def mounted(*command: str | Path, at: Path) -> Iterator[Path]:
    at.mkdir(exist_ok=True)
    subprocess.run(["mount", *command, at], check=True)
    try:
        yield at
    finally:
        subprocess.run(["umount", at], check=True)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of its own, so that nobody else's writing disturbs the figures."""
    with mounted("-t", "tmpfs", "-o", "size=200M", "tmpfs", at=tmp_path / "disk") as disk:
        yield disk


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[Watch]:
    """Those of the steps to come. Who writes can wait for them; no time is long enough for it on every machine."""
    watches: list[Watch] = []

    class Known(Watch):
        def __enter__(self) -> Watch:
            watches.append(self)
            return super().__enter__()

    monkeypatch.setattr(step_meter, "Watch", Known)
    return watches


def until(seen: Callable[[], bool]) -> None:
    while not seen():
        time.sleep(0.05)


def free(disk: Path) -> int:
    status = os.statvfs(disk)
    return status.f_bavail * status.f_frsize


def ticks() -> Iterator[float]:
    return itertools.count(100.0, 2.5)


@pytest.mark.root
def test_steps_in_a_real_overlay(disk: Path) -> None:
    for name in ("lower", "upper", "work", "scratch"):
        (disk / name).mkdir()
    (disk / "lower/base").write_bytes(b"b" * 5000)
    with mounted("-t", "overlay", "-o", f"lowerdir={disk}/lower,upperdir={disk}/upper,workdir={disk}/work",
                 "overlay", at=disk / "merged") as merged:
        meter = Meter(Directories(disk / "upper", scratch={"/usr/src": disk / "scratch"}, disk=disk), ticks().__next__)
        with meter.step("write"):
            (merged / "new").write_bytes(b"n" * 1_000_000)
            (disk / "scratch/source").write_bytes(b"s" * 300_000)
        with meter.step("copy up"), (merged / "base").open("ab") as base:
            base.write(b"more")
        with meter.step("delete"):
            (merged / "base").unlink()
            (merged / "new").unlink()
    write, copy_up, delete = meter.usages
    assert (write.name, write.seconds) == ("write", 2.5)
    assert (write.layer, write.added, write.removed, write.scratch) == (1_000_000, 1_000_000, 0, 300_000)
    assert (write.scratch_added, copy_up.scratch_added) == (300_000, 0)
    assert write.peak is not None and 1_300_000 <= write.peak < 1_400_000
    assert (copy_up.layer, copy_up.added, copy_up.removed) == (1_005_004, 5004, 0)
    assert (delete.layer, delete.added, delete.removed) == (0, 0, 1_005_004)
    assert (disk / "upper/base").is_char_device(), "the overlay marks the base's file as gone"
    assert meter.discarded == {(0, 2): 1_000_000, (1, 2): 5004}


def test_the_peak_is_never_below_what_was_counted_before_and_after_the_step(tmp_path: Path) -> None:
    """Both steps are over before anybody looked."""
    upper = tmp_path / "upper"
    upper.mkdir()
    meter = Meter(Directories(upper, disk=tmp_path), ticks().__next__)
    with meter.step("write"):
        (upper / "new").write_bytes(bytes(3_000_000))
    with meter.step("delete"):
        (upper / "new").unlink()
    with meter.step("nothing"):
        pass
    assert [(usage.layer, usage.peak, usage.transient) for usage in meter.usages] == [
        (3_000_000, 3_000_000, 0), (0, 3_000_000, 0), (0, 0, 0),
    ]  # fmt: skip


@pytest.mark.root
def test_what_is_written_and_deleted_within_one_step_shows_in_the_peak(disk: Path, looks: list[Watch]) -> None:
    (disk / "upper").mkdir()
    meter = Meter(Directories(disk / "upper", disk=disk), time.monotonic)
    before = free(disk)
    with meter.step("compile"):
        (disk / "upper/object.o").write_bytes(bytes(50_000_000))
        until(lambda: looks[0].peak >= 50_000_000 and (looks[0].free or before) <= free(disk))
        (disk / "upper/object.o").unlink()
        (disk / "upper/module.ko").write_bytes(bytes(1_000_000))
    usage = meter.usages[0]
    assert usage.layer == 1_000_000
    assert usage.peak is not None and usage.transient is not None and usage.free_min is not None
    assert 50_000_000 <= usage.peak < 51_100_000
    assert usage.transient == usage.peak - 1_000_000
    assert 2 <= len(usage.curve) <= 40 and max(usage.curve) == usage.peak
    assert before - 51_100_000 < usage.free_min <= before - 50_000_000


@pytest.mark.root
def test_the_peak_is_the_build_s_own_whatever_a_neighbour_writes_on_the_disk(disk: Path, looks: list[Watch]) -> None:
    for name in ("upper", "scratch"):
        (disk / name).mkdir()
    meter = Meter(Directories(disk / "upper", scratch={"/build": disk / "scratch"}, disk=disk), time.monotonic)
    with meter.step("compile"):
        (disk / "neighbour").write_bytes(bytes(100_000_000))
        (disk / "upper/object.o").write_bytes(bytes(3_000_000))
        (disk / "scratch/object.o").write_bytes(bytes(2_000_000))
        until(lambda: looks[0].peak >= 5_000_000)
        (disk / "scratch/object.o").unlink()
        (disk / "neighbour").unlink()  # what somebody else frees hides nothing, either
    usage = meter.usages[0]
    assert usage.peak == 5_000_000 and usage.transient == 2_000_000
    assert max(usage.curve) == 5_000_000
    assert usage.free_min is not None and usage.free_min < 110_000_000, "the disk's, with the neighbour's"


@pytest.mark.root
def test_a_storage_driver_that_copies_the_base_gives_the_figures_of_an_overlay(disk: Path) -> None:
    """vfs: the container's files and the base's lie in one directory."""
    for name in ("lower", "upper", "work", "copy"):
        (disk / name).mkdir()
    for tree in ("lower", "copy"):
        (disk / tree / "deep").mkdir()
        for name, size in (("deep/renamed", 70), ("changed", 5000), ("gone", 300), ("quiet", 11), ("mode", 40)):
            (disk / tree / name).write_bytes(bytes(size))
    told = []
    with mounted("-t", "overlay", "-o", f"lowerdir={disk}/lower,upperdir={disk}/upper,workdir={disk}/work",
                 "overlay", at=disk / "merged") as merged:
        for root, upper, whole in ((merged, disk / "upper", False), (disk / "copy", disk / "copy", True)):
            meter = Meter(Directories(upper, whole=whole), ticks().__next__)
            with meter.step("write"):
                (root / "new").write_bytes(bytes(1000))
                (root / "gone").unlink()
                (root / "mode").chmod(0o600)
                (root / "deep/renamed").rename(root / "deep/again")
            with meter.step("replace"), (root / "changed").open("ab") as file:
                file.write(b"more")
            with meter.step("delete"):
                for name in ("new", "changed", "quiet"):
                    (root / name).unlink()
            told.append([(one.layer, one.added, one.removed, one.peak) for one in meter.usages] + [meter.discarded])
    assert told[0] == told[1]
    assert told[0][0] == (1110, 1110, 0, 1110)


def test_scratch_is_counted_where_the_layer_cannot_be_read(tmp_path: Path) -> None:
    meter = Meter(Directories(scratch={"/build": tmp_path}), ticks().__next__, size_rw=lambda: 4711)
    with meter.step("write"):
        (tmp_path / "object.o").write_bytes(bytes(900))
    (usage,) = meter.usages
    assert (usage.layer, usage.scratch, usage.scratch_added) == (4711, 900, 900)
    assert (usage.added, usage.peak) == (None, None)


def test_a_step_that_fails_is_measured_too(tmp_path: Path) -> None:
    meter = Meter(Directories(tmp_path, disk=tmp_path), ticks().__next__)
    with pytest.raises(RuntimeError), meter.step("fails") as measured:
        (tmp_path / "half").write_bytes(b"123")
        raise RuntimeError
    assert measured.usage is not None and measured.usage.added == 3
    assert meter.usages == [measured.usage]
    assert meter.step_of(b"half") == 0


def test_through_a_remote_engine_only_the_layer_is_known() -> None:
    meter = Meter(Directories(), ticks().__next__, size_rw=lambda: 4711)
    with meter.step("far away"):
        pass
    (usage,) = meter.usages
    assert (usage.layer, usage.seconds) == (4711, 2.5)
    unknown = (usage.added, usage.removed, usage.peak, usage.transient, usage.scratch, usage.scratch_added,
               usage.free_min)
    assert set(unknown) == {None}
    assert meter.step_of(b"anything") is None


def processor_seconds() -> float:
    """Of this process and the finds that it waited for, so that other work on the machine does not count."""
    usages = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def test_metering_costs_less_than_a_bare_look_at_every_file(tmp_path: Path) -> None:
    """36 ms for 25,000 entries on two idle cores, 5 % of a step of one second being 50: 100 ms of processor time."""
    for directory in range(1000):
        (tmp_path / f"d{directory}").mkdir()
        for file in range(24):
            (tmp_path / f"d{directory}/f{file}").touch()
    meter = Meter(Directories(tmp_path, disk=tmp_path), time.monotonic)
    metering, looking = [], []
    for name in range(7):
        start = processor_seconds()
        with meter.step(str(name)):
            pass
        between = processor_seconds()
        bare_look(tmp_path)
        metering.append(between - start)
        looking.append(processor_seconds() - between)
    assert min(metering) < min(looking)
    assert min(metering) < 0.1


def test_looks_during_a_step_cost_less_than_a_twentieth_of_it(tmp_path: Path, looks: list[Watch]) -> None:
    """A walk of 10,000 entries takes 36 ms, and while the disk changes there is cause for ten in a second."""
    for directory in range(100):
        (tmp_path / f"d{directory}").mkdir()
        for file in range(100):
            (tmp_path / f"d{directory}/f{file}").touch()
    meter = Meter(Directories(tmp_path, disk=tmp_path), time.monotonic)
    busy = f"while :; do head -c 100000 /dev/zero >> {tmp_path}/growing; sleep 0.02; done"
    with subprocess.Popen(["sh", "-c", busy]) as neighbour:  # its time counts only when it is waited for
        start, began = processor_seconds(), time.monotonic()
        with meter.step("quiet"):
            time.sleep(3)
            until(lambda: looks[0].peak > 0)
        spent, took = processor_seconds() - start, time.monotonic() - began
        neighbour.kill()
    with meter.step("nothing"):
        start = processor_seconds()
    counting = processor_seconds() - start
    assert spent - counting < 0.05 * took
    assert len(set(meter.usages[0].curve)) > 1, "it did look"


def bare_look(directory: Path | str) -> None:
    with os.scandir(directory) as entries:
        for entry in entries:
            entry.stat(follow_symlinks=False)
            if entry.is_dir(follow_symlinks=False):
                bare_look(entry.path)
