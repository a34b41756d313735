"""`imgasm clean` on this machine: what is provably abandoned goes, mounts and all, and it says how much it was."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from assembler.image.layout import Layout
from assembler.model.reference import Reference
from tests.cli.running import imgasm
from tests.image.imagemaking import add_image

if TYPE_CHECKING:
    from collections.abc import Iterator

AT_WORK = """
import sys, time
from pathlib import Path
from assembler.locks import work_directory
with work_directory(Path(sys.argv[1])) as work:
    (work.path / "large").write_bytes(bytes(3_000_000))
    print(work.path, flush=True)
    time.sleep(600)
"""


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    (tmp_path / ".cache/imgasm/bases").mkdir(parents=True)
    return tmp_path / ".cache/imgasm"


@pytest.fixture
def worker(cache: Path) -> Iterator[tuple[subprocess.Popen[str], Path]]:
    command = [sys.executable, "-c", AT_WORK, cache / "bases"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield process, Path(process.stdout.readline().strip())
        process.kill()


def clean(home: Path, *arguments: str | Path) -> list[str]:
    """Without an engine its part can't be done, and that is an error; the rest is done nevertheless."""
    done = imgasm(home, "clean", "--json", *arguments, DOCKER_HOST=f"unix://{home}/none", IMGASM_ENGINE="docker")
    assert done.returncode == (0 if arguments else 5), done.stderr
    lines: list[str] = json.loads(done.stdout)
    return lines


def test_the_work_of_a_killed_process_goes_and_that_of_a_living_one_stays(
    tmp_path: Path, worker: tuple[subprocess.Popen[str], Path]
) -> None:
    process, work = worker
    assert clean(tmp_path) == [] and work.exists()
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert clean(tmp_path) == [f"{work}: 3.00 MB, its build is gone"]
    assert not work.exists()


@pytest.mark.root
def test_what_was_left_mounted_is_unmounted_and_nothing_in_it_removed(tmp_path: Path, cache: Path) -> None:
    """As the chroots of imgasm 0.1, with the host's proc, sys and dev in them."""
    left, host = cache / "bases/making-of old\tdays", tmp_path / "host"
    for directory in (left / "chroot/sys", left / "chroot/dev/pts", host / "pts"):
        directory.mkdir(parents=True)
    (host / "pts/0").touch()
    subprocess.run(["mount", "--bind", host, left / "chroot/dev"], check=True)
    subprocess.run(["mount", "-t", "tmpfs", "none", left / "chroot/sys"], check=True)
    subprocess.run(["mount", "-t", "tmpfs", "none", left / "chroot/dev/pts"], check=True)
    told = clean(tmp_path)
    assert len(told) == 1 and "with 3 mounts in it" in told[0]
    assert not left.exists() and (host / "pts/0").exists()
    assert str(tmp_path) not in Path("/proc/self/mountinfo").read_text()


@pytest.mark.parametrize("name", ["making-abc", "scratch-abc"])
def test_a_former_directory_that_somebody_works_in_stays(tmp_path: Path, cache: Path, name: str) -> None:
    (cache / "bases" / name).mkdir()
    with subprocess.Popen(["sleep", "600"], cwd=cache / "bases" / name) as process:
        assert clean(tmp_path) == []
        process.kill()
    with (cache / "bases" / name / "file").open("wb") as file:
        file.write(bytes(5000))
        file.flush()
        assert clean(tmp_path) == []
    assert clean(tmp_path) == [f"{cache / 'bases' / name}: 5.00 kB, its build is gone"]


def test_blobs_of_former_builds_go_when_nobody_writes_to_the_layout(tmp_path: Path) -> None:
    layout = Layout.create(tmp_path / "layout")
    kept = layout.tag(add_image(layout, {"new": b"1"}).descriptor, Reference.parse("localhost/new:1"))
    layout.put_bytes("application/octet-stream", os.urandom(100_000))
    assert clean(tmp_path, layout.root) == [f"{layout.root}: left alone, because a build writes to it"]
    del layout
    assert clean(tmp_path, tmp_path / "layout") == [f"{tmp_path / 'layout'}: 100 kB that no image in it needs any more"]
    assert clean(tmp_path, tmp_path / "layout") == []
    assert [entry.digest for entry in Layout.open(tmp_path / "layout").index()] == [kept.digest]
    assert imgasm(tmp_path, "verify", tmp_path / "layout").stdout == "nothing is wrong\n"
