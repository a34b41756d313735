"""An image of random bytes as an OCI layout: one layer with one file, written without imgasm's help."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import random
import tarfile
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from pathlib import Path

_OCI: Final = "application/vnd.oci.image"
_PIECE: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class RandomImage:
    """``digest`` is the manifest's; ``size`` the bytes of its layer, config and manifest."""

    layout: Path
    digest: str
    layer: int
    size: int


def make_image(layout: Path, megabytes: float, seed: int, *, compressed: bool = False) -> RandomImage:
    """``seed`` alone decides about the bytes. ``compressed``: a gzip layer, which is as large, as random bytes are."""
    (layout / "blobs" / "sha256").mkdir(parents=True)
    chance, size = random.Random(seed), round(megabytes * 1e6)
    tar = _tar(b"".join(chance.randbytes(min(_PIECE, size - at)) for at in range(0, size, _PIECE)))
    layer = gzip.compress(tar, 1, mtime=0) if compressed else tar
    config = {
        "architecture": "amd64", "os": "linux", "config": {},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(tar).hexdigest()}"]},
    }
    layer_type = f"{_OCI}.layer.v1.tar+gzip" if compressed else f"{_OCI}.layer.v1.tar"
    blobs = [_blob(layout, f"{_OCI}.config.v1+json", _json(config)), _blob(layout, layer_type, layer)]
    manifest_type = f"{_OCI}.manifest.v1+json"
    manifest = _json({"schemaVersion": 2, "mediaType": manifest_type, "config": blobs[0], "layers": blobs[1:]})
    descriptor = _blob(layout, manifest_type, manifest)
    descriptor["annotations"] = {"org.opencontainers.image.ref.name": "it"}
    (layout / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
    (layout / "index.json").write_bytes(_json({"schemaVersion": 2, "manifests": [descriptor]}))
    return RandomImage(layout, descriptor["digest"], len(layer), len(layer) + blobs[0]["size"] + len(manifest))


def make_image_apart(layout: Path, megabytes: float, seed: int) -> RandomImage:
    """A compressed one, made in another process: the kernel counts the memory of who starts a command as the command's
    own, so that whoever measures must stay small."""
    with ProcessPoolExecutor(1) as pool:
        return pool.submit(make_image, layout, megabytes, seed, compressed=True).result()


def _tar(content: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        member = tarfile.TarInfo("random")
        member.size = len(content)
        tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def _blob(layout: Path, media_type: str, data: bytes) -> dict[str, Any]:
    digest = hashlib.sha256(data).hexdigest()
    (layout / "blobs" / "sha256" / digest).write_bytes(data)
    return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(data)}


def _json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
