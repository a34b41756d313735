"""A small storm of each kind that scripts/chaos makes for real: 1,000 kills, disks of 20 sizes, 200 pushes of 64 MB."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent.parent


def chaos(directory: Path, *arguments: str) -> dict[str, Any]:
    command = [str(ROOT / "scripts" / "chaos"), *arguments, "--work", str(directory / "work")]
    done = subprocess.run([*command, "--json", str(directory / "report.json")], capture_output=True, text=True,
                          check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert not list((directory / "work").iterdir())
    report: dict[str, Any] = json.loads((directory / "report.json").read_text())
    return report


def test_pushes_over_a_line_that_breaks_leave_every_blob_whole_and_every_tag_once(tmp_path: Path) -> None:
    report = chaos(tmp_path, "pushes", "--pushes", "8", "--megabytes", "8")
    assert report["corrupt"] == report["tags"] == report["journals"] == report["unfinished"] == []
    assert report["cut_connections"] > 0
    assert report["kills"] > 0
    assert report["bytes_sent_beyond_one_full_upload"] > 0


@pytest.mark.root
@pytest.mark.engine
def test_a_kill_at_any_system_call_tears_nothing_and_leaves_nothing(tmp_path: Path) -> None:
    report = chaos(tmp_path, "kills", "--count", "7")
    assert sorted(report) == ["build-docker", "build-podman", "copy", "load", "push", "resume-docker", "resume-podman"]
    for tally in report.values():
        assert tally["torn"] == tally["failed"] == tally["left"] == []
        assert tally["trials"] == tally["killed"] + tally["later"] == tally["again"] + tally["later"] == 1
    assert sum(tally["killed"] for tally in report.values()) > 0


@pytest.mark.root
def test_a_disk_that_is_full_at_any_size_is_a_clear_error(tmp_path: Path) -> None:
    report = chaos(tmp_path, "disks", "--count", "2")
    assert sorted(report) == ["cache", "engine-docker", "engine-podman", "home", "output"]
    for tally in report.values():
        assert tally["unclear"] == tally["torn"] == tally["failed"] == []
    assert sum(tally["refused"] for tally in report.values()) > 0


@pytest.mark.root
@pytest.mark.engine
def test_builds_at_once_with_one_cache_and_one_output_lose_nothing(tmp_path: Path) -> None:
    (tally,) = chaos(tmp_path, "crowd", "--count", "4").values()
    assert tally == {"builds": 4, "failed": [], "torn": [], "lost": [], "left": []}


@pytest.mark.root
@pytest.mark.engine
def test_builds_with_checkpoints_that_are_killed_are_right_the_next_time(tmp_path: Path) -> None:
    report = chaos(tmp_path, "builds", "--kills", "3")
    assert report["killed"] == 3
    assert report["wrong"] == report["left"] == []
