"""``imgasm rebuild``: the same build once more, and whether the same came out of it."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from assembler.commands.as_if import as_if
from assembler.commands.build import build
from assembler.commands.job import BuildOptions
from assembler.commands.open_recipe import open_recipe
from assembler.errors import ImageError, RecipeError, UsageError
from assembler.image.image import read_image
from assembler.image.layout import Layout
from assembler.layer.compare_layers import compare_layers
from assembler.layer.decompress import decompress
from assembler.model.digest import Digest
from assembler.model.secrets import HIDDEN
from assembler.places.temporary_layout import temporary_layout
from assembler.report.build_records import Builds
from assembler.report.likely_cause import COMPRESSOR, DATED, UNKNOWN, likely_cause
from assembler.report.rebuild_report import FileDifference, ImageRebuilt, RebuildReport
from assembler.report.record_part import path_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from assembler.image.image import Image
    from assembler.layer.compare_layers import Difference
    from assembler.layer.read_tar import Readable
    from assembler.model.engines import EngineName
    from assembler.places.world import World
    from assembler.recipe.recipe import Recipe
    from assembler.report.build_record import BuildRecord, ImageReport

_LOOKED_INTO: Final = 10


@dataclass(frozen=True, slots=True)
class Again:
    """How it is built again. ``given`` are values of variables, for secrets above all: no record has them. ``recipe``
    is where its file is now. ``refresh`` makes or pulls the base again, ``as_if`` names provocations."""

    given: Mapping[str, str]
    recipe: Path | None = None
    engine: EngineName | None = None
    refresh: bool = False
    as_if: tuple[str, ...] = ()


def rebuild(directory: Path, world: World, again: Again) -> RebuildReport:
    """Makes the last build into ``directory`` again, elsewhere, and compares. ``directory`` stays as it is.

    UsageError where there was none; RecipeError where the recipe is another one now.
    """
    former = Builds.load(directory).builds[-1]
    recipe = as_if(_same_recipe(former, again), again.as_if)
    with temporary_layout(world.cache) as layout:
        options = BuildOptions(engine=again.engine, cache=False, refresh=again.refresh, may_refuse=True)
        now = build(recipe, layout.root, world, options)
        made = {image.name: image for image in now.images}
        return RebuildReport(
            recipe=former.recipe.file,
            as_if=again.as_if,
            changes=tuple(_changes(former, now, again)),
            images=tuple(
                _compared(image, made[image.name], Layout.open(directory), layout, now) for image in former.images
            ),
        )


def refuse_difference(report: RebuildReport) -> None:
    """ImageError where an image is another one."""
    other = [image.name for image in report.images if not image.is_same]
    if other:
        raise ImageError(f"{', '.join(other)} can't be made again as it was" if len(other) == 1 else
                         f"{len(other)} of {len(report.images)} images can't be made again as they were",
                         hint="What is above says where to look.")  # fmt: skip


def _same_recipe(former: BuildRecord, again: Again) -> Recipe:
    """With the values that its variables had."""
    known = {name: value for name, value in former.vars.items() if HIDDEN not in value}
    recipe = open_recipe(again.recipe or Path(former.recipe.file), {**known, **again.given})
    built_from = next((one.digest for one in former.materials if one.name.startswith("recipe ")), None)
    if built_from is None:
        raise UsageError("the recipe of this build is not known: a former imgasm made it", hint="Build it again.")
    if str(recipe.digest) != built_from:
        raise RecipeError(f"{recipe.file} is another recipe than the one that was built ({built_from})",
                          hint="Check out the one that was, and name it with --recipe.")
    return recipe


def _changes(former: BuildRecord, now: BuildRecord, again: Again) -> Iterator[str]:
    """Inputs that are not what they were; what was provoked is none."""
    if former.inputs is not None and now.inputs is not None and not again.as_if:
        yield from now.inputs.changes(former.inputs)
    for name in former.libraries.keys() & now.libraries.keys():
        if former.libraries[name] != now.libraries[name]:
            yield f"{name} is {now.libraries[name]}, and was {former.libraries[name]}"


def _compared(
    former: ImageReport, now: ImageReport, there: Layout, here: Layout, record: BuildRecord
) -> ImageRebuilt:
    found: list[FileDifference] = []
    if former.manifest != now.manifest:
        was, is_ = read_image(there, Digest.parse(former.manifest)), read_image(here, Digest.parse(now.manifest))
        layers = compare_layers(partial(_top, was, there), partial(_top, is_, here), _LOOKED_INTO)
        steps = _steps(now, record)
        found = [_told(one, steps) for one in layers] or list(_documents(was, is_))
    return ImageRebuilt(name=former.name, former=former.manifest, now=now.manifest, differences=tuple(found))


@contextmanager
def _top(image: Image, layout: Layout) -> Iterator[Readable]:
    """The layer that imgasm wrote."""
    descriptor, _ = image.layers[-1]
    with layout.open_blob(descriptor.digest) as blob:
        yield decompress(blob)


def _steps(image: ImageReport, record: BuildRecord) -> dict[str, str]:
    """Which step wrote a file last, for files with content."""
    rows = image.table.rows() if image.table is not None else ()
    return {row.path: record.step_name(row.step) for row in rows}


def _told(difference: Difference, steps: Mapping[str, str]) -> FileDifference:
    found, path = difference.bytes, path_text(difference.path)
    return FileDifference(
        path=path,
        field=difference.field,
        former=difference.former,
        now=difference.now,
        offset=found.offset if found is not None else None,
        former_bytes=_escaped(found.former) if found is not None else None,
        now_bytes=_escaped(found.now) if found is not None else None,
        step=steps.get(path),
        cause=likely_cause(difference),
    )


def _escaped(data: bytes) -> str:
    return repr(data)[2:-1]


def _documents(former: Image, now: Image) -> Iterator[FileDifference]:
    """What differs where both layers hold the same: the config, or how the layer was compressed."""
    was, is_ = dict(_leaves(former.config)), dict(_leaves(now.config))
    for key in dict.fromkeys((*was, *is_)):
        if was.get(key) != is_.get(key):
            yield FileDifference(path=f"config {key}", field="config", former=was.get(key), now=is_.get(key),
                                 cause=DATED if key.endswith("created") else UNKNOWN)  # fmt: skip
    if former.layers[-1][1] == now.layers[-1][1] and former.layers[-1][0] != now.layers[-1][0]:
        yield FileDifference(path="layer", field="compression", former=str(former.layers[-1][0].digest),
                             now=str(now.layers[-1][0].digest), cause=COMPRESSOR)  # fmt: skip


def _leaves(value: Any, where: str = "") -> Iterator[tuple[str, str]]:
    """Each text, number or null in a document, by the keys that lead there."""
    if isinstance(value, dict):
        for key, one in value.items():
            yield from _leaves(one, f"{where}.{key}" if where else key)
    elif isinstance(value, list):
        for number, one in enumerate(value):
            yield from _leaves(one, f"{where}[{number}]")
    else:
        yield where, str(value)
