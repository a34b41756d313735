"""Small OCI layouts made without any code of imgasm: what other tools write, and what few of them do."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import subprocess
import tarfile
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

Json = dict[str, Any]

OCI = "application/vnd.oci.image."
MANIFEST, INDEX, CONFIG = (OCI + kind + ".v1+json" for kind in ("manifest", "index", "config"))
LAYER = OCI + "layer.v1.tar"
DOCKER = "application/vnd.docker."
DOCKER_MANIFEST = DOCKER + "distribution.manifest.v2+json"
DOCKER_CONFIG, DOCKER_LAYER = DOCKER + "container.image.v1+json", DOCKER + "image.rootfs.diff.tar.gzip"
REF_NAME, FULL_NAME = "org.opencontainers.image.ref.name", "io.containerd.image.name"


def tar(files: dict[str, bytes]) -> bytes:
    """Without tarfile's padding, which verify would call waste."""
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w", format=tarfile.USTAR_FORMAT) as out:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size, member.mtime = len(content), 1_700_000_000
            out.addfile(member, io.BytesIO(content))
        end = out.offset
    return sink.getvalue()[:end] + bytes(1024)


class Handmade:
    """The directory ``root`` as a layout. ``list`` is index.json's, written by ``save``."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.listed: list[Json] = []
        (root / "blobs" / "sha256").mkdir(parents=True)
        (root / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')

    def blob(self, media_type: str, data: bytes) -> Json:
        name = hashlib.sha256(data).hexdigest()
        (self.root / "blobs" / "sha256" / name).write_bytes(data)
        return {"mediaType": media_type, "digest": f"sha256:{name}", "size": len(data)}

    def document(self, media_type: str, value: Json) -> Json:
        """With spaces, so that bytes made anew would differ."""
        return self.blob(media_type, json.dumps(value, indent=3).encode())

    def image(self, *tars: bytes, architecture: str = "amd64", docker: bool = False, config: str | None = None,
              plain: bool = False, **manifest: Any) -> Json:
        packed = [tar if plain else gzip.compress(tar, mtime=0) for tar in tars]
        kind = LAYER if plain else DOCKER_LAYER if docker else LAYER + "+gzip"
        described = self.document(config or (DOCKER_CONFIG if docker else CONFIG), {
            "architecture": architecture, "os": "linux", "config": {"Cmd": ["/word"], "Labels": {"a": "label"}},
            "rootfs": {"type": "layers", "diff_ids": ["sha256:" + hashlib.sha256(tar).hexdigest() for tar in tars]},
            "history": [{"created_by": f"layer {number}"} for number in range(len(tars))],
        })  # fmt: skip
        media_type = DOCKER_MANIFEST if docker else MANIFEST
        return self.document(media_type, {
            "schemaVersion": 2, "mediaType": media_type, "config": described,
            "layers": [self.blob(kind, data) for data in packed], **manifest,
        })  # fmt: skip

    def index(self, *entries: Json, **more: Any) -> Json:
        return self.document(INDEX, {"schemaVersion": 2, "mediaType": INDEX, "manifests": list(entries), **more})

    def attestation(self, image: Json) -> Json:
        """As BuildKit lists its own beside an image."""
        statement = self.blob("application/vnd.in-toto+json", b'{"_type": "https://in-toto.io/Statement/v0.1"}')
        config = self.document(CONFIG, {"architecture": "unknown", "os": "unknown", "config": {}, "rootfs": {
            "type": "layers", "diff_ids": [statement["digest"]]}})
        manifest = {"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [statement]}
        return {
            **self.document(MANIFEST, manifest),
            "platform": {"os": "unknown", "architecture": "unknown"},
            "annotations": {"vnd.docker.reference.type": "attestation-manifest",
                            "vnd.docker.reference.digest": image["digest"]},
        }  # fmt: skip

    def add(self, entry: Json, **annotations: str) -> Json:
        self.listed.append({**entry, "annotations": annotations} if annotations else entry)
        return entry

    def name(self, entry: Json, name: str) -> Json:
        """As skopeo does."""
        return self.add(entry, **{REF_NAME: name})

    def save(self) -> Path:
        index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": self.listed}
        (self.root / "index.json").write_text(json.dumps(index))
        return self.root

    def archive(self, file: Path) -> Path:
        """The same bytes as a tar, by GNU tar."""
        self.save()
        subprocess.run(["tar", "-cf", file, "-C", self.root, "blobs", "index.json", "oci-layout"], check=True)
        return file


def on(platform: str, entry: Json) -> Json:
    os, architecture = platform.split("/")
    return {**entry, "platform": {"os": os, "architecture": architecture}}
