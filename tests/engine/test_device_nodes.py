"""Device nodes in steps, with an engine that gives containers no MKNOD, as podman 5 does."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.support import engines
from tests.support.thin import Imgasm, busybox, layer_names

RECIPE = """
name = "sample"
[base]
rootfs = "base.tar"
[container]
network = "none"
{more}
[[step]]
name = "device"
run = "mknod /opt/null c 1 3"
[[image]]
name = "sample"
compression = "gzip"
"""


@pytest.mark.engine
def test_08_a_step_that_may_make_no_device_node_is_told_of_mknod(tmp_path: Path) -> None:
    (tmp_path / "podman").mkdir()
    (tmp_path / "base.tar").write_bytes(busybox())
    recipe = tmp_path / "sample.toml"
    with engines.podman(tmp_path / "podman"):
        settings = Path(os.environ["CONTAINERS_CONF"])
        settings.write_text(settings.read_text().replace(
            "[containers]\n", '[containers]\ndefault_capabilities = ["CHOWN", "DAC_OVERRIDE", "SETUID", "SETGID"]\n'
        ))  # fmt: skip
        imgasm = Imgasm(tmp_path)
        recipe.write_text(RECIPE.format(more=""))
        refused = imgasm("build", "sample.toml", "--engine", "podman", status=6)
        assert 'cap_add = ["MKNOD"]' in refused.stderr and "podman 5" in refused.stderr

        recipe.write_text(RECIPE.format(more='cap_add = ["MKNOD"]'))
        image = imgasm.json("build", "sample.toml", "--engine", "podman")["images"][0]
    assert layer_names(tmp_path / "build/sample", image["manifest"]) == ["opt/null"]
