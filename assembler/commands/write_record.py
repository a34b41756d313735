"""What a build did, put together for the reports."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from assembler.commands.compressor_versions import LIBRARIES
from assembler.errors import ImgasmError
from assembler.layer.decompress import decompress
from assembler.model.node import shown
from assembler.report.build_record import (
    BaseLayer,
    BuildRecord,
    CacheSize,
    Discard,
    Drop,
    EngineName,
    ImageReport,
    LayerSize,
    PruneRule,
    RecipeName,
    Tally,
)
from assembler.report.build_records import Builds, is_build
from assembler.report.file_table import file_table
from assembler.report.layer_summary import summary
from assembler.report.record_part import counted
from assembler.version import __version__

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from assembler.changeset.capture import Capture
    from assembler.commands.attribution import Attribution
    from assembler.commands.write_images import Written
    from assembler.engine.info import EngineInfo
    from assembler.image.blob_store import BlobStore
    from assembler.image.layout import Layout
    from assembler.measure.step_meter import Meter
    from assembler.model.descriptor import Descriptor
    from assembler.progress import Progress
    from assembler.recipe.images import Image
    from assembler.recipe.recipe import Recipe

_NO_PACKAGES: Final = "which package owns a file can't be told: exports do not keep the package database"


@dataclass(frozen=True, slots=True)
class Outcome:
    """An image of the recipe and what became of it."""

    image: Image
    written: Written


def make_record(
    recipe: Recipe, engine: EngineName | None, attribution: Attribution, outcomes: Sequence[Outcome], layout: BlobStore
) -> BuildRecord:
    """Reads the container's files, so it wants them there still. ``layout`` is what the images were written to."""
    meter = attribution.meter
    images = tuple(_image(outcome, attribution, layout) for outcome in outcomes)
    owners = {name for image in images if image.table is not None for name in image.table.package_names}
    return BuildRecord(
        imgasm=__version__,
        libraries=dict(LIBRARIES),
        recipe=RecipeName(name=recipe.name, file=str(recipe.file)),
        vars=dict(recipe.vars),
        engine=engine,
        steps=tuple(meter.usages),
        discarded=tuple(
            Discard(written_by=writer, removed_by=remover, bytes=size)
            for (writer, remover), size in meter.discarded.items()
        ),
        prune=tuple(_pruned(outcomes)),
        drops=tuple(_drops(outcomes)),
        packages=tuple(attribution.packages(owners)),
        images=images,
        caches=tuple(_caches(recipe, meter)),
        notes=tuple(_notes(attribution)),
    )


def _caches(recipe: Recipe, meter: Meter) -> Iterator[CacheSize]:
    sizes = meter.cache_sizes
    for cache in recipe.caches:
        yield CacheSize(name=cache.name, path=str(cache.path), bytes=sizes.get(str(cache.path)))


def _notes(attribution: Attribution) -> Iterator[str]:
    if not attribution.packages_known:
        yield _NO_PACKAGES
    if unseen := attribution.meter.unseen:
        count = counted(unseen, "directory")
        yield f"what this user can't read, {count} of the container, is not in the steps' figures"


def keep_record(record: BuildRecord, layout: Layout, progress: Progress) -> None:
    """Writes the record beside the images, and beside the records of other builds whose images the layout lists."""
    with layout.locked():
        former = Builds(builds=())
        if is_build(layout.root):
            try:
                former = Builds.load(layout.root)
            except ImgasmError as error:
                progress.warn(f"{error.message}; it is replaced")
        listed = {str(entry.digest) for entry in layout.index()}
        former.with_build(record, listed).save(layout.root)


def engine_name(engine: EngineInfo, capture: Capture) -> EngineName:
    """Who ran the steps, and how the files were read."""
    return EngineName(
        name=engine.name,
        version=engine.version,
        storage=engine.storage_driver,
        capture="overlay" if capture.way == "overlay" else "exports",
    )


def _pruned(outcomes: Sequence[Outcome]) -> Iterator[PruneRule]:
    """Every rule with the most that it took out of any image: images that keep little have little to prune."""
    rules: dict[tuple[str, str | None], PruneRule] = {}
    for outcome in outcomes:
        for rule, pruned in outcome.written.result.pruned.items():
            key = rule.pattern, rule.preset
            if key not in rules or rules[key].bytes < pruned.bytes:
                rules[key] = PruneRule(pattern=rule.pattern, preset=rule.preset, files=pruned.files, bytes=pruned.bytes)
    return iter(rules.values())


def _drops(outcomes: Sequence[Outcome]) -> Iterator[Drop]:
    findings = {finding for outcome in outcomes for finding in outcome.written.result.findings}
    for finding in sorted(findings):
        yield Drop(path=shown(finding.path), what=finding.what)


def _image(outcome: Outcome, attribution: Attribution, layout: BlobStore) -> ImageReport:
    written = outcome.written
    changes, layer = written.result.changeset, written.layer
    below = written.base.image.layers if written.base is not None else ()
    found = attribution.of(written)
    told = summary(found.entries)
    return ImageReport(
        name=outcome.image.name,
        reference=outcome.image.reference,
        manifest=str(written.oci.descriptor.digest),
        base=tuple(_base_layer(descriptor, outcome, layout) for descriptor, _ in below),
        layer=LayerSize(
            digest=str(layer.descriptor.digest),
            diff_id=str(layer.diff_id),
            media_type=layer.descriptor.media_type,
            compressed=layer.descriptor.size,
            uncompressed=layer.size,
            content=told.content,
            rest=found.rest,
        ),
        kinds=told.kinds,
        steps=told.steps,
        directories=told.directories,
        files=told.files,
        touched=Tally(files=len(changes.touched), bytes=sum(changes.touched.values())),
        table=file_table(found.rows),
        hints=found.hints,
        verdicts=written.verdicts,
    )


def _base_layer(descriptor: Descriptor, outcome: Outcome, layout: BlobStore) -> BaseLayer:
    """Its size as a tar is counted only for a budget that needs it, and where the layer is on this machine."""
    counted = outcome.image.budget.image_unpacked is not None and layout.has(descriptor)
    return BaseLayer(
        digest=str(descriptor.digest),
        compressed=descriptor.size,
        uncompressed=_unpacked(descriptor, layout) if counted else None,
    )


def _unpacked(descriptor: Descriptor, layout: BlobStore) -> int:
    with layout.open_blob(descriptor.digest) as blob:
        plain = decompress(blob)
        return sum(len(chunk) for chunk in iter(lambda: plain.read(1 << 20), b""))
