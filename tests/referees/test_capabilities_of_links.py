"""Trap 15 in Docker 26 with containerd's store, the one referee that is no release of this machine's."""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
from pathlib import Path

import pytest

from tests.referees.image import build
from tests.support import engines
from tests.support.corpus import CAPABILITY_V2, write
from tests.support.making import make
from tests.support.scene import scene

pytestmark = [pytest.mark.engine, pytest.mark.root]


def test_trap_15_a_capability_of_a_file_with_two_names_survives_docker_26(tmp_path: Path) -> None:
    def container(root: Path) -> None:
        write(root / "bin/ping").chmod(0o755)
        (root / "bin/hard ping").hardlink_to(root / "bin/ping")
        (root / "bin/set").hardlink_to(root / "bin/ping")
        os.setxattr(root / "bin/ping", "security.capability", CAPABILITY_V2)

    with scene(lambda root: write(root / "etc/old"), container=container) as done:
        image = build(tmp_path, [done.base_export, make(done).layer])
    with engines.containerd_store():
        run("docker", "load", "--input", image.archive)
        name = run("docker", "create", image.name).decode().strip()
        try:
            exported = run("docker", "export", name)
        finally:
            run("docker", "rm", name)
    with tarfile.open(fileobj=io.BytesIO(exported)) as tar:
        members = [tar.getmember(name) for name in ("bin/ping", "bin/hard ping", "bin/set")]
        files = [member for member in members if member.isreg()]
        assert len(files) == 1 and {member.linkname for member in members} == {"", files[0].name}
        value = files[0].pax_headers.get("SCHILY.xattr.security.capability", "")
    assert value.encode("utf-8", "surrogateescape") == CAPABILITY_V2


def run(*argv: str | Path) -> bytes:
    return subprocess.run(argv, check=True, capture_output=True).stdout
