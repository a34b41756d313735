"""Images for the referees: a base as tarfile wrote it, and layers on it, by hand or by imgasm."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

from assembler.image.assemble import BaseImage, assemble
from assembler.image.config import ImageSettings, NewLayer
from assembler.image.layout import Layout
from assembler.image.pack_layer import pack
from assembler.image.write_archive import write_archive
from assembler.layer.compress import compressor
from assembler.model.digest import Digest
from assembler.model.platform import Platform
from assembler.model.reference import Reference
from assembler.model.run_config import RunConfig

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


@dataclass(frozen=True)
class TrapImage:
    """``archive`` is the layout as one tar with Docker's manifest.json; ``layers`` are plain, the lowest first."""

    name: str
    layout: Path
    archive: Path
    layers: list[bytes]


def build(directory: Path, layers: Sequence[bytes], codec: str = "gzip", claimed: bytes | None = None) -> TrapImage:
    """``layers`` are whole tars. ``claimed``: what the image says that the last one is."""
    reference = Reference.parse(f"localhost/{directory.name.lower()}:1")
    layout = Layout.create(directory / "layout")
    settings = ImageSettings(RunConfig(cmd=("/none",)), Platform("linux", "amd64"))
    image = None
    for layer in layers:
        descriptor, diff_id = pack(io.BytesIO(layer), layout, compressor(codec))
        if claimed is not None and layer is layers[-1]:
            diff_id = Digest.of(claimed)
        new = NewLayer(descriptor, diff_id)
        image = assemble(layout, None if image is None else BaseImage(image), new, settings)
    assert image is not None
    layout.tag(image.descriptor, reference)
    with (directory / "archive.tar").open("wb") as archive:
        write_archive(layout, [(image, [reference])], archive)
    return TrapImage(str(reference), layout.root, directory / "archive.tar", list(layers))
