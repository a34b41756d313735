"""Images for tests of bases that are never pulled, and imgasm as a process of its own to build on them."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from assembler.image.layout import Layout
from assembler.model import media_types
from assembler.model.descriptor import Descriptor, canonical_json
from assembler.model.digest import Digest
from assembler.model.reference import Reference
from tests.support import engines

if TYPE_CHECKING:
    from collections.abc import Mapping


class Imgasm:
    """``imgasm ARGUMENT...`` in ``directory``, which is its home, too."""

    def __init__(self, directory: Path, **environment: str) -> None:
        self.directory = directory
        self._environment = {"HOME": str(directory), **environment}

    def __call__(self, *arguments: str, status: int = 0) -> subprocess.CompletedProcess[str]:
        elsewhere = ("XDG_CACHE_HOME", "XDG_STATE_HOME", "IMGASM_CACHE")
        here = {key: value for key, value in os.environ.items() if key not in elsewhere}
        done = subprocess.run(
            [sys.executable, "-m", "assembler", *arguments],
            cwd=self.directory, env=here | self._environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == status, done.stdout + done.stderr
        return done

    def json(self, *arguments: str) -> Any:
        return json.loads(self(*arguments, "--json").stdout)


def rootfs(files: dict[str, bytes | str | None]) -> bytes:
    """A tar: directories where the content is None, symlinks where it is a string."""
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.mode = 0o755
            member.mtime = 1_600_000_000
            if content is None:
                member.type = tarfile.DIRTYPE
            elif isinstance(content, str):
                member.type, member.linkname = tarfile.SYMTYPE, content
            else:
                member.size = len(content)
            tar.addfile(member, io.BytesIO(content if isinstance(content, bytes) else b""))
    return sink.getvalue()


def write_image(
    layout: Layout, name: str, *tars: bytes, platform: Mapping[str, str] = MappingProxyType({}), **config: Any
) -> Descriptor:
    """An image of plain layers under ``name``, which no code of imgasm composed; ``platform`` beside amd64's keys."""
    layers = [layout.put_bytes(media_types.OCI_LAYER, tar) for tar in tars]
    described = layout.put_bytes(media_types.OCI_CONFIG, canonical_json({
        "architecture": "amd64",
        "os": "linux",
        **platform,
        "config": config,
        "rootfs": {"type": "layers", "diff_ids": [str(Digest.of(tar)) for tar in tars]},
        "history": [{"created_by": "tests"} for _ in tars],
    }))  # fmt: skip
    manifest = canonical_json({
        "schemaVersion": 2,
        "mediaType": media_types.OCI_MANIFEST,
        "config": described.to_json(),
        "layers": [layer.to_json() for layer in layers],
    })  # fmt: skip
    return layout.tag(layout.put_bytes(media_types.OCI_MANIFEST, manifest), Reference.parse(name))


def busybox() -> bytes:
    return engines.busybox_rootfs().getvalue()


def layer_names(layout: Path, manifest: str) -> list[str]:
    """The members of an image's topmost layer, by GNU tar."""
    layers = read_json(layout, manifest)["layers"]
    blob = layout / "blobs" / "sha256" / layers[-1]["digest"].removeprefix("sha256:")
    done = subprocess.run(["tar", "-tf", str(blob)], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def read_json(layout: Path, digest: str) -> Any:
    return json.loads((layout / "blobs" / "sha256" / digest.removeprefix("sha256:")).read_bytes())
