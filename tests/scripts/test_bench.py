"""The benchmark runs: figures of a few seconds tell nothing, but a script that nobody runs rots."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.support.engines import busybox_rootfs

ROOT = Path(__file__).parent.parent.parent


@pytest.mark.engine
@pytest.mark.root
def test_every_contender_runs_on_the_quick_tree(tmp_path: Path) -> None:
    command = [str(ROOT / "scripts" / "bench"), "--tree", "quick", "--rounds", "1", "--markdown"]
    command += ["--work", str(tmp_path / "work"), "--json", str(tmp_path / "report.json")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr

    (tree,) = json.loads((tmp_path / "report.json").read_text())["trees"]
    assert len(tree["contenders"]) == 8
    assert len(tree["ratios"]) == 6
    for name, found in tree["contenders"].items():
        assert 100_000 < found["blob"] < tree["bytes"], name
        assert f"| {name.replace('|', chr(92) + '|')} |" in done.stdout
    assert tree["contenders"]["imgasm zstd -3"]["temporary"] == 0
    assert not (tmp_path / "work" / "running").exists()


@pytest.mark.engine
@pytest.mark.root
def test_every_tool_pushes_a_small_layer_and_imgasm_stays_small(tmp_path: Path) -> None:
    command = [str(ROOT / "scripts" / "bench"), "push", "--megabytes", "30", "--rounds", "1"]
    command += ["--work", str(tmp_path / "work"), "--json", str(tmp_path / "report.json")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr

    report = json.loads((tmp_path / "report.json").read_text())
    assert set(report["tools"]) == {"imgasm push", "skopeo copy", "docker push"}
    assert set(report["ratios"]) == {"skopeo copy", "docker push"}
    assert 20_000_000 < report["tools"]["imgasm push"]["memory"] < 120_000_000
    assert not list((tmp_path / "work").iterdir())


@pytest.mark.root
def test_a_push_over_tls_beside_one_peer(tmp_path: Path) -> None:
    command = [str(ROOT / "scripts" / "bench"), "push", "--tls", "--only", "skopeo", "--megabytes", "2"]
    command += ["--rounds", "1", "--work", str(tmp_path / "work"), "--json", str(tmp_path / "report.json")]
    done = subprocess.run(command, capture_output=True, text=True, check=False,
                          env={**os.environ, "IMGASM_BENCH_INSIDE": "1"})  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert set(json.loads((tmp_path / "report.json").read_text())["ratios"]) == {"skopeo copy"}


@pytest.mark.engine
@pytest.mark.root
def test_the_parts_of_a_build_outside_its_steps(tmp_path: Path) -> None:
    command = [str(ROOT / "scripts" / "bench"), "outside", "--rounds", "1"]
    command += ["--work", str(tmp_path), "--json", str(tmp_path / "report.json")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr

    report = json.loads((tmp_path / "report.json").read_text())
    seconds = {part: found["median"] for part, found in report["seconds"].items()}
    assert {"docker container create", "docker container rm", "imgasm itself"} <= seconds.keys()
    whole, peer = seconds.pop("all, without steps"), seconds.pop("docker run --rm")
    assert peer > 0 and sum(seconds.values()) == pytest.approx(whole)


@pytest.mark.engine
@pytest.mark.root
def test_a_recipe_beside_its_dockerfile(tmp_path: Path) -> None:
    """What a step wrote and the next one removed is pulled from its peers alone."""
    (tmp_path / "base.tar").write_bytes(busybox_rootfs().getvalue())
    (tmp_path / "small.toml").write_text("""
name = "small"
base = { rootfs = "base.tar" }
container = { network = "none", scratch = ["/build"], env = { SIZE = "3000000" } }
file = [{ path = "/opt/word", content = "word" }]
step = [{ name = "write", run = 'head -c "$SIZE" /dev/urandom >/opt/big' }, { name = "tidy", run = "rm /opt/big" }]
image = [{ name = "small" }]
""")
    command = [str(ROOT / "scripts" / "bench"), "recipe", str(tmp_path / "small.toml")]
    command += ["--work", str(tmp_path), "--json", str(tmp_path / "report.json")]
    done = subprocess.run(command, capture_output=True, text=True, check=False,
                          env={**os.environ, "IMGASM_CACHE": str(tmp_path / "cache")})  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "report.json").read_text())["contenders"]
    pull = {name: outcome["pull"] for name, outcome in found.items()}
    assert pull["imgasm build"] + 2_500_000 < min(pull["docker build"], pull["buildah build"])


@pytest.mark.engine
@pytest.mark.root
def test_a_build_again_beside_its_peers(tmp_path: Path) -> None:
    command = [str(ROOT / "scripts" / "bench"), "again", "--rounds", "1", "--files", "20", "--bytes", "1000"]
    command += ["--seconds", "0", "--work", str(tmp_path), "--json", str(tmp_path / "report.json")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr

    report = json.loads((tmp_path / "report.json").read_text())
    assert report["ratios"].keys() == {"docker build", "buildah build --layers"}
    assert "imgasm by docker build" in done.stdout
