"""Bases out of mmdebstrap and tarballs: what is broken is not kept, and what was kept broken is not found again."""

from __future__ import annotations

import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile
from typing import TYPE_CHECKING

import pytest

from tests.support.debian_mirror import debian_mirror

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def build(cache: Path, base: str) -> subprocess.CompletedProcess[str]:
    """No steps, so no engine."""
    recipe = cache.parent / "recipe.toml"
    recipe.write_text(f'name = "made"\n[base]\n{base}\n[[image]]\nname = "made"\n')
    return subprocess.run([sys.executable, "-m", "assembler", "build", recipe], cwd=cache.parent, capture_output=True,
                          text=True, check=False, env={**os.environ, "IMGASM_CACHE": str(cache)})  # fmt: skip


def entries(cache: Path) -> list[str]:
    """The bases that a build would find: a layout of the cache counts when its index lists something."""
    found = [path for path in (cache / "bases").iterdir() if path.name.startswith(("bootstrap", "rootfs"))]
    indexes = [path / "index.json" for path in found]
    return [index.parent.name for index in indexes if index.exists() and b'"digest"' in index.read_bytes()]


def test_a_tarball_with_a_path_twice_is_refused_and_not_kept(cache: Path) -> None:
    with tarfile.open(cache.parent / "old.tar", "w") as tar:
        for content in (b"old\n", b"new\n"):
            member = tarfile.TarInfo("./etc/hosts")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    for _ in range(2):
        done = build(cache, 'rootfs = "old.tar"')
        assert done.returncode == 8
        assert "/etc/hosts is in rootfs old.tar twice" in done.stderr
    assert entries(cache) == []
    assert [path for path in (cache / "bases").glob("*/blobs/**/*") if path.is_file()] == []


def test_a_base_that_a_former_version_left_broken_is_not_found_again(cache: Path) -> None:
    (cache.parent / "mirror").mkdir()
    mirror = debian_mirror(cache.parent / "mirror", "tiny", {"opt/tiny": b"contents\n"})
    wanted = {"suite": "bookworm", "packages": ["tiny"], "components": ["main"], "variant": "extract",
              "architecture": None, "mirror": mirror}  # fmt: skip
    key = hashlib.sha256(json.dumps(wanted, sort_keys=True).encode()).hexdigest()[:32]
    (cache / "bases" / f"bootstrap-{key}").mkdir(parents=True)
    done = build(cache, f'bootstrap = {{ suite = "bookworm", packages = ["tiny"], variant = "extract", '
                        f'mirror = "{mirror}" }}')  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "making a bookworm base" in done.stderr
    assert len(entries(cache)) == 1, "the former version's is none"
