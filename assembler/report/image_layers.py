"""Any image, layer by layer: what each layer brings, and how much of it the image does not show in the end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from assembler.model.step_usage import StepUsage
from assembler.report import hints
from assembler.report.build_record import BaseLayer, BuildRecord, Heavy, ImageReport, LayerSize, RecipeName
from assembler.report.file_table import FileTable, LayerRow, file_table
from assembler.report.hints import Hint
from assembler.report.layer_summary import SummaryBuilder
from assembler.report.package_owners import PackageOwners, owners_in
from assembler.report.record_part import RecordPart, path_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from assembler.report.visible_files import VisibleFiles

FORMAT: Final = 1
_LARGEST: Final = 20


class ImageLayer(RecordPart):
    """``bytes`` is the content of the layer's files, ``wasted`` what later layers overwrite or remove of it. What only
    the layer itself tells is None where only the manifest was read."""

    digest: str
    media_type: str
    compressed: int
    uncompressed: int | None = None
    created_by: str | None = None
    files: int | None = None
    bytes: int | None = None
    wasted: int | None = None


class Wasted(RecordPart):
    """``bytes`` of content that stood under ``path`` in some layer, and that the image does not show."""

    path: str
    bytes: int


class Contents(RecordPart):
    """What is in the layers. ``steps`` of files, directories and the table are positions of layers.

    ``efficiency`` is the part of all content that the image shows.
    """

    bytes: int
    wasted: int
    efficiency: float
    wasted_paths: tuple[Wasted, ...]
    directories: tuple[Heavy, ...]
    files: tuple[Heavy, ...]
    hints: tuple[Hint, ...]
    table: FileTable


class LayersReport(RecordPart):
    """One image. ``contents`` is None where only the manifest was read."""

    format: Literal[1] = FORMAT
    kind: Literal["image"] = "image"
    imgasm: str
    name: str
    manifest: str
    platform: str
    layers: tuple[ImageLayer, ...]
    contents: Contents | None = None

    @property
    def compressed(self) -> int:
        return sum(layer.compressed for layer in self.layers)

    @property
    def uncompressed(self) -> int | None:
        sizes = [layer.uncompressed for layer in self.layers]
        return None if None in sizes else sum(size or 0 for size in sizes)

    def layer_name(self, layer: int | None) -> str:
        """For people: the position from 1, and what made it."""
        if layer is None:
            return ""
        made = " ".join((self.layers[layer].created_by or "").split())
        return f"{layer + 1}: {made}" if made else f"layer {layer + 1}"


@dataclass(frozen=True, slots=True)
class Stored:
    """A layer as the manifest and the config speak of it."""

    digest: str
    media_type: str
    compressed: int
    created_by: str | None = None


def image_layers(
    stored: Sequence[Stored], uncompressed: Sequence[int], rootfs: VisibleFiles | None
) -> list[ImageLayer]:
    """``uncompressed`` and ``rootfs`` are from layers that were all read; None and nothing if they were not."""
    plain = [
        ImageLayer(digest=one.digest, media_type=one.media_type, compressed=one.compressed, created_by=one.created_by)
        for one in stored
    ]
    if rootfs is None:
        return plain
    figures = zip(plain, uncompressed, rootfs.files, rootfs.added, strict=True)
    return [
        layer.model_copy(update={"uncompressed": size, "files": files, "bytes": added, "wasted": rootfs.lost[index]})
        for index, (layer, size, files, added) in enumerate(figures)
    ]


def contents_of(rootfs: VisibleFiles) -> Contents:
    owners = owners_in(rootfs) or PackageOwners(())
    totals, rows, digests = SummaryBuilder(_LARGEST), list[LayerRow](), dict[bytes, bytes]()
    seen: set[int] = set()
    for path, file in sorted(rootfs.walk(), key=lambda found: found[0]):
        if file.size and id(file) not in seen:  # a file counts under its first name
            seen.add(id(file))
            totals.add(path, file.kind or "", file.size, file.layer)
            rows.append(LayerRow(path, file.size, file.layer, file.taken, file.kind, owners.of(path)))
            digests[path] = file.digest
    added, wasted = sum(rootfs.added), rootfs.wasted.total()
    paths = sorted(rootfs.wasted.items(), key=lambda item: (-item[1], item[0]))[:_LARGEST]
    return Contents(
        bytes=added,
        wasted=wasted,
        efficiency=1 - wasted / added if added else 1.0,
        wasted_paths=tuple(Wasted(path=path_text(path), bytes=size) for path, size in paths),
        directories=tuple(totals.directories()),
        files=tuple(totals.files()),
        hints=tuple(hints.of_equal(rows, digests.__getitem__)),
        table=file_table(rows),
    )


def _size(layer: ImageLayer | None) -> LayerSize:
    """None for the layer of an image that has none."""
    if layer is None:
        return LayerSize(digest="", diff_id="", media_type="", compressed=0, uncompressed=0, content=0)
    return LayerSize(
        digest=layer.digest,
        diff_id="",
        media_type=layer.media_type,
        compressed=layer.compressed,
        uncompressed=layer.uncompressed,
        content=layer.bytes or 0,
    )


def as_record(report: LayersReport) -> BuildRecord:
    """The image as if each layer were a step of a build: so pages, pictures, budgets and comparisons know it too.

    Its table holds the files of all layers. What only a build can know stays unknown.
    """
    below, top = report.layers[:-1], report.layers[-1] if report.layers else None
    held = 0
    steps: list[StepUsage] = []
    for index, layer in enumerate(report.layers):
        held += layer.bytes or 0
        steps.append(StepUsage(report.layer_name(index), 0.0, held if report.contents else None))
    contents = report.contents
    image = ImageReport(
        name=report.name,
        manifest=report.manifest,
        base=tuple(
            BaseLayer(digest=one.digest, compressed=one.compressed, uncompressed=one.uncompressed) for one in below
        ),
        layer=_size(top),
        kinds={},
        steps=(),
        directories=contents.directories if contents else (),
        files=contents.files if contents else (),
        hints=contents.hints if contents else (),
        table=contents.table if contents else None,
    )
    name = RecipeName(name=report.name, file="")
    return BuildRecord(imgasm=report.imgasm, recipe=name, steps=tuple(steps), images=(image,))
