"""The corpus as one image of two layers: the base as tarfile wrote it, and imgasm's layer of all the traps."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from assembler.image.archive import write_archive
from assembler.image.assemble import BaseImage, NewLayer, Wishes, assemble
from assembler.image.layout import Layout
from assembler.layer.compress import compressor
from assembler.layer.write import write_layer
from assembler.model.digest import Digest
from assembler.model.oci import Descriptor
from assembler.model.platform import Platform
from assembler.model.reference import Reference
from assembler.model.run_config import RunConfig

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from assembler.layer.entry import Entry

NAME = "localhost/traps:1"


@dataclass(frozen=True)
class TrapImage:
    """``archive`` is the layout as one tar with Docker's manifest.json; ``layer`` the uncompressed tar of the traps."""

    layout: Path
    archive: Path
    layer: Path


def build(directory: Path, codec: str, base_tar: bytes, entries: Sequence[Entry]) -> TrapImage:
    layout = Layout.create(directory / "layout")
    wishes = Wishes(RunConfig(cmd=("/none",)), Platform("linux", "amd64"))
    below = assemble(layout, None, _packed(layout, codec, base_tar), wishes)
    with layout.new_blob(hashed=False) as blob:
        layer = write_layer(entries, blob, compressor(codec))
        blob.commit(layer.descriptor.digest)
    image = assemble(layout, BaseImage(below), NewLayer(layer.descriptor, layer.diff_id), wishes)
    layout.tag(image.descriptor, Reference.parse(NAME))
    with (directory / "archive.tar").open("wb") as archive:
        write_archive(layout, [(image, [Reference.parse(NAME)])], archive)
    with (directory / "layer.tar").open("wb") as tar:
        write_layer(entries, tar, compressor("none"))
    return TrapImage(layout.root, directory / "archive.tar", directory / "layer.tar")


def _packed(layout: Layout, codec: str, tar: bytes) -> NewLayer:
    chosen = compressor(codec)
    data = chosen.compress(tar) + chosen.flush()
    with layout.new_blob(hashed=False) as blob:
        blob.write(data)
        blob.commit(Digest.of(data))
    descriptor = Descriptor(chosen.media_type, Digest.of(data), len(data))
    return NewLayer(descriptor, Digest("sha256", hashlib.sha256(tar).hexdigest()))
