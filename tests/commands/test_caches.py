"""[[cache]]: a directory that stays from build to build, and is in no layer."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING

import pytest

from assembler.locks import exclusive
from tests.commands.test_build import Cli
from tests.support import engines

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.engine

RECIPE = """
name = "sample"
[base]
rootfs = "base.tar"
[container]
network = "none"
[[cache]]
name = "testcache"
path = "/opt/cache"
SHARED
[[step]]
name = "fill"
run = "cat /opt/cache/* || true; echo 12345 >> /opt/cache/object; wc -l < /opt/cache/object > /opt/count"
[[image]]
name = "sample"
compression = "none"
"""


@pytest.fixture(params=["docker", "podman", "host"])
def engine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with engines.running(request.param, tmp_path_factory.mktemp("engine")) as name:
        yield name
        if name != "host":
            subprocess.run([name, "volume", "rm", "imgasm-cache-testcache"], check=True, capture_output=True)


@pytest.fixture
def cli(tmp_path: Path, engine: str) -> Cli:
    cli = Cli(tmp_path)
    cli.environment["IMGASM_ENGINE"] = engine
    (tmp_path / "base.tar").write_bytes(engines.busybox_rootfs().getvalue())
    (tmp_path / "sample.toml").write_text(RECIPE.replace("SHARED", ""))
    return cli


def test_it_stays_is_measured_and_reaches_no_layer(cli: Cli, engine: str) -> None:
    for count in (1, 2):
        record = json.loads(cli("build", "sample.toml", "--no-cache", "--json").stdout)
        assert record["caches"] == [{"name": "testcache", "path": "/opt/cache", "bytes": 6 * count}]
        assert [file["path"] for file in record["images"][0]["files"]] == ["/opt/count"]
        assert "cache" not in record["images"][0]["kinds"] and record["images"][0]["kinds"] == {"regular file": 1}
    assert "testcache at /opt/cache" in cli("size-report").stdout
    assert "nothing changed" in cli("build", "sample.toml").stderr


def test_one_build_has_it_alone_if_it_is_not_shared(cli: Cli, engine: str) -> None:
    locks = cli.directory / ".cache/imgasm/cache-locks"
    locks.mkdir(parents=True)
    with exclusive(locks / f"{engine}-testcache"):
        (cli.directory / "sample.toml").write_text(RECIPE.replace("SHARED", "shared = true"))
        cli("build", "sample.toml")
        (cli.directory / "sample.toml").write_text(RECIPE.replace("SHARED", ""))
        command = cli.command("build", "sample.toml", "--no-cache")
        build = subprocess.Popen(command, cwd=cli.directory, env=cli.environment, stderr=subprocess.PIPE,
                                 stdout=subprocess.DEVNULL, text=True)
        assert build.stderr is not None
        for line in build.stderr:
            if line == "another build is using the cache testcache; waiting for it\n":
                break
        else:
            pytest.fail("it did not wait")
    _, told = build.communicate()
    assert build.returncode == 0, told
