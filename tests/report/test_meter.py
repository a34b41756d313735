"""The meter on a real overlay and a real disk."""

from __future__ import annotations

import itertools
import os
import resource
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from assembler.report.meter import Meter


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


def ticks() -> Iterator[float]:
    return itertools.count(100.0, 2.5)


@pytest.mark.root
def test_steps_in_a_real_overlay(disk: Path) -> None:
    for name in ("lower", "upper", "work", "scratch"):
        (disk / name).mkdir()
    (disk / "lower/base").write_bytes(b"b" * 5000)
    with mounted("-t", "overlay", "-o", f"lowerdir={disk}/lower,upperdir={disk}/upper,workdir={disk}/work",
                 "overlay", at=disk / "merged") as merged:
        meter = Meter(disk / "upper", {"/usr/src": disk / "scratch"}, disk, ticks().__next__)
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


@pytest.mark.root
def test_what_is_written_and_deleted_within_one_step_shows_in_the_peak(disk: Path) -> None:
    (disk / "upper").mkdir()
    meter = Meter(disk / "upper", {}, disk, time.monotonic)
    free = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
    with meter.step("compile"):
        (disk / "upper/object.o").write_bytes(bytes(50_000_000))
        time.sleep(0.3)
        (disk / "upper/object.o").unlink()
        (disk / "upper/module.ko").write_bytes(bytes(1_000_000))
    usage = meter.usages[0]
    assert usage.layer == 1_000_000
    assert usage.peak is not None and usage.transient is not None and usage.free_min is not None
    assert 50_000_000 <= usage.peak < 51_100_000
    assert usage.transient == usage.peak - 1_000_000
    assert 2 <= len(usage.curve) <= 40 and max(usage.curve) == usage.peak
    assert free - 51_100_000 < usage.free_min <= free - 50_000_000


def test_a_step_that_fails_is_measured_too(tmp_path: Path) -> None:
    meter = Meter(tmp_path, {}, tmp_path, ticks().__next__)
    with pytest.raises(RuntimeError), meter.step("fails") as measured:
        (tmp_path / "half").write_bytes(b"123")
        raise RuntimeError
    assert measured.usage is not None and measured.usage.added == 3
    assert meter.usages == [measured.usage]
    assert meter.step_of(b"half") == 0


def test_through_a_remote_engine_only_the_layer_is_known() -> None:
    meter = Meter(None, {}, None, ticks().__next__, size_rw=lambda: 4711)
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
    meter = Meter(tmp_path, {}, tmp_path, time.monotonic)
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


def bare_look(directory: Path | str) -> None:
    with os.scandir(directory) as entries:
        for entry in entries:
            entry.stat(follow_symlinks=False)
            if entry.is_dir(follow_symlinks=False):
                bare_look(entry.path)
