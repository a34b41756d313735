"""Small images made by hand: plans to push, and the layouts they come from."""

from __future__ import annotations

import gzip
import io
import json
import random
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assembler.image.compose_index import compose_index
from assembler.model import media_types
from assembler.model.descriptor import Descriptor, canonical_json
from assembler.model.digest import Digest
from assembler.registry.push_plan import BlobToPush, ManifestToPush, PushPlan

if TYPE_CHECKING:
    from collections.abc import Iterable

    from assembler.image.image import Image
    from assembler.image.layout import Layout


def layer_tar(size: int = 1000, seed: int = 0) -> bytes:
    """A tar with one file of ``size`` bytes that do not compress."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        member = tarfile.TarInfo(f"data-{seed}")
        member.size = size
        tar.addfile(member, io.BytesIO(random.Random(seed).randbytes(size)))
    return buffer.getvalue()


@dataclass(frozen=True, slots=True)
class Blob:
    descriptor: Descriptor
    path: Path

    @property
    def to_push(self) -> BlobToPush:
        return BlobToPush(self.descriptor, self.path)


def write_blob(directory: Path, media_type: str, data: bytes) -> Blob:
    digest = Digest.of(data)
    path = directory / "blobs" / "sha256" / digest.hex
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return Blob(Descriptor(media_type, digest, len(data)), path)


def make_plan(
    directory: Path, *, sizes: tuple[int, ...] = (1000,), tags: tuple[str, ...] = ("v1",), seed: int = 0,
    architecture: str = "amd64",
) -> PushPlan:
    """An image with one gzip layer for each size."""
    tars = [layer_tar(size, seed + number) for number, size in enumerate(sizes)]
    layers = [write_blob(directory, media_types.OCI_LAYER_GZIP, gzip.compress(tar, 1, mtime=0)) for tar in tars]
    config = write_blob(directory, media_types.OCI_CONFIG, _config(tars, architecture))
    manifest = make_manifest(config.descriptor, [layer.descriptor for layer in layers], tags)
    write_blob(directory, media_types.OCI_MANIFEST, manifest.data)
    return PushPlan([config.to_push, *(layer.to_push for layer in layers)], [manifest])


def make_manifest(config: Descriptor, layers: list[Descriptor], tags: tuple[str, ...] = ()) -> ManifestToPush:
    body = {
        "schemaVersion": 2,
        "mediaType": media_types.OCI_MANIFEST,
        "config": config.to_json(),
        "layers": [layer.to_json() for layer in layers],
    }
    return as_manifest(media_types.OCI_MANIFEST, body, tags)


def make_index(plans: list[PushPlan], tags: tuple[str, ...]) -> PushPlan:
    """An index over the given images, listed before its children to see whether the order is put right."""
    children = [plan.manifests[0] for plan in plans]
    body = {
        "schemaVersion": 2,
        "mediaType": media_types.OCI_INDEX,
        "manifests": [child.descriptor.to_json() | {"platform": _platform(plan)}
                      for child, plan in zip(children, plans, strict=True)],
    }
    blobs = [blob for plan in plans for blob in plan.blobs]
    return PushPlan(blobs, [as_manifest(media_types.OCI_INDEX, body, tags), *children])


def as_manifest(media_type: str, body: dict[str, Any], tags: tuple[str, ...] = ()) -> ManifestToPush:
    data = canonical_json(body)
    return ManifestToPush(Descriptor(media_type, Digest.of(data), len(data)), data, tags)


def _config(tars: list[bytes], architecture: str) -> bytes:
    return canonical_json({
        "architecture": architecture,
        "os": "linux",
        "config": {"Cmd": ["/bin/true"]},
        "rootfs": {"type": "layers", "diff_ids": [str(Digest.of(tar)) for tar in tars]},
        "history": [{"created_by": "tests"} for _ in tars],
    })


def _platform(plan: PushPlan) -> dict[str, str]:
    path = plan.blobs[0].path
    assert path is not None
    config = json.loads(path.read_bytes())
    return {"os": config["os"], "architecture": config["architecture"]}


def write_index(layout: Layout, images: Iterable[Image]) -> Descriptor:
    """An index of ``images`` among the blobs of ``layout``."""
    index = compose_index(images)
    return layout.put_bytes(index.descriptor.media_type, index.data)
