"""Images for the tests of this package, their layers written by tarfile: a writer that is not under test."""

from __future__ import annotations

import gzip
import io
import subprocess
import tarfile
from pathlib import Path

import zstandard

from assembler.image.assemble import BaseImage, assemble
from assembler.image.config import ImageSettings, NewLayer
from assembler.image.image import Image
from assembler.image.layout import Layout
from assembler.model import media_types
from assembler.model.digest import Digest
from assembler.model.platform import Platform
from assembler.model.run_config import RunConfig

AMD64 = Platform("linux", "amd64")


def tarball(files: dict[str, bytes | None]) -> bytes:
    """A tar of files, and of directories where the content is None. Nothing stands behind the two end blocks."""
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.mode = 0 if ".wh." in name else 0o755 if content is None else 0o644
            info.type = tarfile.DIRTYPE if content is None else tarfile.REGTYPE
            info.size = len(content or b"")
            tar.addfile(info, io.BytesIO(content or b""))
        end = sink.tell()
    return sink.getvalue()[:end] + bytes(1024)


def pack(plain: bytes, codec: str) -> tuple[str, bytes]:
    """(media type, bytes) of a layer."""
    if codec == "gzip":
        return media_types.OCI_LAYER_GZIP, gzip.compress(plain, mtime=0)
    if codec == "zstd":
        return media_types.OCI_LAYER_ZSTD, zstandard.compress(plain)
    return media_types.OCI_LAYER, plain


def add_layer(layout: Layout, files: dict[str, bytes | None] | bytes, codec: str = "gzip") -> NewLayer:
    plain = files if isinstance(files, bytes) else tarball(files)
    return NewLayer(layout.put_bytes(*pack(plain, codec)), Digest.of(plain), "test layer")


def add_image(
    layout: Layout, *layers: dict[str, bytes | None] | bytes, codec: str = "gzip", run: RunConfig | None = None
) -> Image:
    image: Image | None = None
    for layer in layers:
        base = BaseImage(image) if image is not None else None
        image = assemble(layout, base, add_layer(layout, layer, codec), ImageSettings(run or RunConfig(), AMD64))
    assert image is not None
    return image


def run(*argv: str | Path) -> bytes:
    """What a referee prints; its refusal is a failed test that shows why."""
    done = subprocess.run([str(word) for word in argv], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    return done.stdout
