"""A home, a cache and a small recipe, in which imgasm runs as a process, and what is left there."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_REPOSITORY: Final = Path(__file__).parents[2]
_RECIPE: Final = """
name = "chaos"
[base]
rootfs = "base.tar"
[container]
network = "none"
scratch = ["/scratch"]
[[step]]
name = "write"
run = "head -c 300000 /dev/urandom >/scratch/elsewhere; head -c 400000 /dev/zero | sha256sum >/opt/sum"
[[step]]
name = "remove"
run = "rm -rf /opt/old"
[[image]]
name = "chaos"
compression = "gzip"
[[image]]
name = "chaos-alone"
onto = "scratch"
keep = ["/opt/**"]
"""
_BUSYBOX: Final = Path("/bin/busybox")
_NAMES: Final = ("sh", "cat", "head", "sha256sum", "rm", "sleep", "kill", "mkdir", "chmod", "tar", "true", "stat", "ls")


@dataclass(frozen=True, slots=True)
class Done:
    status: int
    told: str


class Scene:
    """``place`` is a directory that is there. Of the user's environment nothing but the engines' settings is used."""

    def __init__(self, place: Path) -> None:
        self.place = place
        kept = {key: value for key, value in os.environ.items()
                if key.startswith(("DOCKER_", "CONTAINERS_", "CONTAINER_")) or key in ("PATH", "XDG_RUNTIME_DIR")}
        self.environment = {
            **kept, "HOME": str(place / "home"), "IMGASM_CACHE": str(place / "cache"), "LC_ALL": "C.UTF-8",
            "SOURCE_DATE_EPOCH": "1700000000", "PYTHONPATH": str(_REPOSITORY),
        }  # fmt: skip
        (place / "home").mkdir(exist_ok=True)
        (place / "recipe.toml").write_text(_RECIPE)
        _write_base(place / "base.tar")

    def imgasm(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "assembler", *arguments]

    def run(self, command: Sequence[str], more: Mapping[str, str] | None = None) -> Done:
        done = subprocess.run(command, cwd=self.place, env={**self.environment, **(more or {})}, text=True,
                              stdin=subprocess.DEVNULL, capture_output=True, check=False, errors="replace")  # fmt: skip
        return Done(done.returncode, done.stdout + done.stderr)

    def remove(self, name: str) -> None:
        shutil.rmtree(self.place / name, ignore_errors=True)


def _write_base(path: Path) -> None:
    with tarfile.open(path, "w") as tar:
        for name in ("bin", "etc", "opt", "opt/old", "tmp"):
            member = tarfile.TarInfo(name)
            member.type, member.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(member)
        tar.add(_BUSYBOX, "bin/busybox")
        for name in _NAMES:
            member = tarfile.TarInfo(f"bin/{name}")
            member.type, member.linkname, member.mode = tarfile.SYMTYPE, "busybox", 0o777
            tar.addfile(member)


def torn(layout: Path) -> list[str]:
    """What in a layout is not whole: documents, blobs under a name that is not theirs, images that lack a blob."""
    if not (layout / "index.json").exists():
        return []
    found = [f"{path.name} has other bytes" for path in sorted(layout.glob("blobs/sha256/*"))
             if hashlib.sha256(path.read_bytes()).hexdigest() != path.name]  # fmt: skip
    try:
        found += [f"{digest} is missing" for digest in _needed(layout) if not _blob(layout, digest).exists()]
    except (ValueError, KeyError) as error:
        found.append(f"index.json or a manifest is no whole document: {error}")
    return found


def _needed(layout: Path) -> Iterator[str]:
    for entry in json.loads((layout / "index.json").read_bytes())["manifests"]:
        yield entry["digest"]
        manifest: dict[str, Any] = json.loads(_blob(layout, entry["digest"]).read_bytes())
        for part in (manifest["config"], *manifest["layers"]):
            yield part["digest"]


def _blob(layout: Path, digest: str) -> Path:
    return layout / "blobs/sha256" / digest.removeprefix("sha256:")


def files_below(*directories: Path) -> dict[str, int]:
    """Every file with its size; locks, which stay where they are, are no bytes."""
    return {str(path): path.lstat().st_size for directory in directories for path in sorted(directory.rglob("*"))
            if not path.is_dir() and path.lstat().st_size}  # fmt: skip


def traces(engine: str) -> list[str]:
    """imgasm's containers, and all volumes."""
    def ask(*words: str) -> list[str]:
        return subprocess.run([engine, *words], check=True, text=True, capture_output=True).stdout.split()

    return ask("ps", "--all", "--quiet", "--filter", "label=io.imgasm.build") + ask("volume", "ls", "--quiet")


def mounts_below(place: Path) -> list[str]:
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    return [line.split()[4] for line in lines if line.split()[4].startswith(f"{place}/")]
