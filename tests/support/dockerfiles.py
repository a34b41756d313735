"""What ``docker build`` makes of a Dockerfile, and what imgasm makes of it, as trees that can be compared."""

from __future__ import annotations

import json
import subprocess
import tarfile
from collections.abc import Mapping
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from assembler.model.prune_presets import PRESETS

Tree = dict[str, tuple[object, ...]]


def docker(*arguments: str) -> str:
    return subprocess.run(["docker", *arguments], check=True, capture_output=True, text=True).stdout.strip()


def docker_build(context: Path, tag: str, *options: str) -> None:
    """By the classic builder, without network."""
    docker("build", "--quiet", "--network", "none", "--tag", tag, *options, str(context))


def tree(image: str) -> Tree:
    """Every path with its type, mode, owners, link target and content."""
    container = docker("create", "--network", "none", image, "nothing")
    try:
        export = ["docker", "export", container]
        with (subprocess.Popen(export, stdout=subprocess.PIPE) as process,
              tarfile.open(fileobj=process.stdout, mode="r|") as tar):  # fmt: skip
            return {member.name: _described(tar, member) for member in tar}
    finally:
        docker("rm", "--force", container)


def _described(tar: tarfile.TarFile, member: tarfile.TarInfo) -> tuple[object, ...]:
    stream = tar.extractfile(member) if member.isreg() else None
    return member.type, oct(member.mode), member.uid, member.gid, member.linkname, stream.read() if stream else b""


def config_of(image: str) -> Mapping[str, Any]:
    """What of the config a Dockerfile says."""
    found: Any = json.loads(docker("image", "inspect", image))[0]["Config"]
    keys = ("Env", "Cmd", "Entrypoint", "WorkingDir", "User", "Labels", "ExposedPorts", "Volumes", "StopSignal",
            "Healthcheck", "Shell", "OnBuild")  # fmt: skip
    return {key: found.get(key) or None for key in keys}


def pruned(path: str, presets: list[str]) -> bool:
    """Whether a preset removes it, as the verdict has said."""
    globs = [glob.replace("**", "*") for preset in presets for glob in PRESETS[preset].globs]
    return any(fnmatch(f"/{path}", glob) for glob in globs)
