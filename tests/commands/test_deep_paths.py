"""A path longer than the kernel takes, in a live container: no way of reading leaves it out and says nothing."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.commands.test_build import Cli, entries
from tests.support import engines

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.engine

HALF = "/".join(["d" * 200] * 12)
RECIPE = f"""
name = "deep"
[base]
rootfs = "base.tar"
[container]
network = "none"
[[step]]
name = "dig"
run = '''
mkdir -p /opt/app/{HALF} /opt/other/{HALF}
echo below > /opt/other/{HALF}/file
{{move}}
'''
[[image]]
name = "deep"
compression = "gzip"
"""


@pytest.fixture(params=["docker", "podman"])
def engine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with engines.docker() if request.param == "docker" else engines.podman(tmp_path_factory.mktemp("podman")):
        yield request.param


@pytest.mark.parametrize("way", ["auto", "export"])
def test_a_path_of_more_than_4096_bytes_is_told_and_no_image_lacks_it(tmp_path: Path, engine: str, way: str) -> None:
    cli = Cli(tmp_path)
    (tmp_path / "base.tar").write_bytes(engines.busybox_rootfs().getvalue())
    (tmp_path / "deep.toml").write_text(RECIPE.format(move=f"mv /opt/other /opt/app/{HALF}/other"))
    told = cli("build", "deep.toml", "--engine", engine, "--capture", way, "--prove", status=7).stderr
    assert "too long to read all that may be in it" in told and "Remove it in a step" in told
    assert not (tmp_path / "build/deep/imgasm.json").exists()

    (tmp_path / "deep.toml").write_text(RECIPE.format(move=""))
    cli("build", "deep.toml", "--engine", engine, "--capture", way, "--prove")
    record = json.loads((tmp_path / "build/deep/imgasm.json").read_text())
    assert f"opt/other/{HALF}/file" in entries(tmp_path / "build/deep", record["images"][0]["manifest"])
