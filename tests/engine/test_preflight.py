from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path, PurePosixPath

import pytest

from assembler.engine.client import Engine
from assembler.engine.container import ContainerSpec
from assembler.engine.init_process import read_mounts
from assembler.engine.preflight import (
    check_container_tmp,
    check_engine_space,
    check_space_at,
    free_bytes,
    is_in_memory,
)


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Path]:
    """A directory on a tmpfs of 1 MiB."""
    place = tmp_path / "a memory"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", place], check=True)
    yield place
    subprocess.run(["umount", place], check=True)


@pytest.mark.root
def test_a_tmpfs_is_recognised(memory: Path, tmp_path: Path) -> None:
    assert is_in_memory(memory / "not/yet/there") and is_in_memory(memory)
    assert not is_in_memory(tmp_path)
    assert free_bytes(memory / "not/yet/there") == 1 << 20


@pytest.mark.root
def test_a_tmpfs_is_worth_a_warning(memory: Path) -> None:
    told = check_space_at(memory / "build", 2 << 20, "the image") or ""
    assert "is in memory (tmpfs) and has only 1.05 MB left, and the image may need 2.10 MB" in told
    assert "takes the memory" in (check_space_at(memory / "build", 1000, "the image") or "")


def test_a_disk_with_room_is_no_finding(tmp_path: Path) -> None:
    assert check_space_at(tmp_path, 1000, "the image") is None


def test_a_disk_without_room_is_a_warning_and_people_decide(tmp_path: Path) -> None:
    assert "has only" in (check_space_at(tmp_path, 1 << 60, "the image") or "")


@pytest.mark.engine
def test_the_engines_disk(engine: Engine) -> None:
    assert engine.disk is not None
    free = free_bytes(engine.disk)
    assert free is not None
    assert check_engine_space(engine, 1000) is None
    assert f"{engine.name} has" in (check_engine_space(engine, int(free * 0.7)) or "")
    assert "imgasm clean" in (check_engine_space(engine, free * 2) or "")


@pytest.mark.engine
def test_a_container_whose_tmp_is_scratch_is_no_finding(engine: Engine, spec: ContainerSpec) -> None:
    wanted = replace(spec.container, scratch=(PurePosixPath("/tmp"),))
    with engine.session(replace(spec, container=wanted)) as session:
        assert check_container_tmp(session.mount_table) is None


def test_a_container_tmp_in_memory_is_a_finding() -> None:
    line = b"36 35 0:42 / /tmp rw,nosuid shared:1 - tmpfs tmpfs rw,size=65536k,inode64\n"
    assert "the container's /tmp is in memory (tmpfs, size=65536k)" in (check_container_tmp(read_mounts(line)) or "")
