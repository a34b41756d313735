"""The steps' bytes are counted on every kind of engine whose files this machine can see."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.support import engines
from tests.support.people import person
from tests.support.thin import Imgasm, busybox

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.engine

RECIPE = """
name = "sample"
[base]
rootfs = "base.tar"
[container]
network = "none"
scratch = ["/build"]
[[step]]
name = "write"
run = '''
head -c 20000000 /dev/zero > /opt/program
head -c 50000000 /dev/zero > /build/object
echo more >> /etc/passwd
rm -r /opt/old
mkdir -m 700 /opt/private && echo secret > /opt/private/file && chown -R 33 /opt/private
'''
[[step]]
name = "remove"
run = "rm /opt/program; echo hi > /opt/note"
[[image]]
name = "sample"
"""
PASSWD = len("root:x:0:0:root:/root:/bin/sh\nann:x:1000:1000::/:/bin/sh\nmore\n")
WRITTEN = 20_000_000 + PASSWD + len("secret\n")


def check(record: Any) -> None:
    write, remove = record["steps"]
    assert (write["added"], write["removed"], write["layer"]) == (WRITTEN, 0, WRITTEN)
    assert (write["scratch"], write["scratch_added"]) == (50_000_000, 50_000_000)
    assert (remove["added"], remove["removed"], remove["layer"]) == (3, 20_000_000, WRITTEN - 20_000_000 + 3)
    assert write["peak"] == remove["peak"] == WRITTEN + 50_000_000
    assert record["dockerfile"]["bytes"] == WRITTEN + 50_000_003


@pytest.mark.parametrize("options", [
    ["--storage-driver", "vfs"],
    ["--storage-driver", "fuse-overlayfs"],
    ["--userns-remap", "default"],
], ids=["vfs", "fuse-overlayfs", "user namespace"])  # fmt: skip
def test_10_steps_are_metered_where_the_files_cannot_be_read_in_place(tmp_path: Path, options: list[str]) -> None:
    with engines.dockerd(*options):
        imgasm = Imgasm(tmp_path)
        (tmp_path / "base.tar").write_bytes(busybox())
        (tmp_path / "sample.toml").write_text(RECIPE)
        check(imgasm.json("build", "sample.toml", "--engine", "docker"))


def test_10_steps_are_metered_for_a_user_with_rootless_podman(tmp_path: Path) -> None:
    (tmp_path / "base.tar").write_bytes(busybox())
    (tmp_path / "sample.toml").write_text(RECIPE)
    with person() as someone:
        someone.give(tmp_path / "base.tar", tmp_path / "sample.toml")
        environment = someone.rootless_podman()
        done = someone.imgasm("build", "sample.toml", "--engine", "podman", "--json", environment=environment)
        assert done.returncode == 0, done.stderr
    check(json.loads(done.stdout))
