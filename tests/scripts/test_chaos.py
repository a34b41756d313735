"""A small storm of what scripts/chaos does for real: 200 pushes of 64 MB."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent


def test_pushes_over_a_line_that_breaks_leave_every_blob_whole_and_every_tag_once(tmp_path: Path) -> None:
    command = [str(ROOT / "scripts" / "chaos"), "--pushes", "8", "--megabytes", "8", "--work", str(tmp_path / "work")]
    done = subprocess.run([*command, "--json", str(tmp_path / "report.json")], capture_output=True, text=True,
                          check=False)
    assert done.returncode == 0, done.stdout + done.stderr

    report = json.loads((tmp_path / "report.json").read_text())
    assert report["corrupt"] == report["tags"] == report["journals"] == report["unfinished"] == []
    assert report["cut_connections"] > 0
    assert report["kills"] > 0
    assert report["bytes_sent_beyond_one_full_upload"] > 0
    assert not list((tmp_path / "work").iterdir())
