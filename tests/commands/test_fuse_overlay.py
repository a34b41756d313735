"""Docker on fuse-overlayfs, which counts only those names of a file that were looked up since it was mounted."""

from __future__ import annotations

import io
import tarfile
from typing import TYPE_CHECKING

import pytest

from tests.support import engines
from tests.support.thin import Imgasm, busybox, layer_names

if TYPE_CHECKING:
    from pathlib import Path

RECIPE = """
name = "sample"
[base]
rootfs = "base.tar"
[container]
network = "none"
[[step]]
name = "look at every file"
run = "ls -lR / > /opt/list; echo changed >> /opt/pair/changed; ln /opt/pair/one /opt/new; rm /opt/three/b"
[[image]]
name = "sample"
"""


def with_links() -> bytes:
    """Files with several names, as Debian has perl and perl5.36.0. In a large directory not all are told at first."""
    quiet = [("quiet", f"one-{number} two-{number}") for number in range(300)]
    rootfs = io.BytesIO(busybox())
    with tarfile.open(fileobj=rootfs, mode="a") as tar:
        for directory, names in (*quiet, ("pair", "one two"), ("three", "a b c"), ("pair", "changed x")):
            first, *others = names.split()
            member = tarfile.TarInfo(f"opt/{directory}/{first}")
            member.size, member.mode = 1000, 0o755
            tar.addfile(member, io.BytesIO(first.encode() * 1000))
            for other in others:
                link = tarfile.TarInfo(f"opt/{directory}/{other}")
                link.type, link.linkname = tarfile.LNKTYPE, member.name
                tar.addfile(link)
    return rootfs.getvalue()


@pytest.mark.engine
def test_08_layers_over_fuse_overlayfs_hold_nothing_that_no_step_touched(tmp_path: Path) -> None:
    imgasm = Imgasm(tmp_path)
    (tmp_path / "base.tar").write_bytes(with_links())
    (tmp_path / "sample.toml").write_text(RECIPE)
    with engines.dockerd("--storage-driver", "fuse-overlayfs"):
        done = imgasm.json("build", "sample.toml", "--engine", "docker", "--prove")
    assert sorted(layer_names(tmp_path / "build/sample", done["images"][0]["manifest"])) == [
        "opt/list", "opt/new", "opt/pair/changed", "opt/pair/one", "opt/pair/two", "opt/pair/x", "opt/three/.wh.b",
    ], "a file that changed has all its names here, where the kernel's overlay would part them"  # fmt: skip
