"""What images are compared with when their growth is limited: a former build, a layout, or what a registry has."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from assembler.image.image import read_image
from assembler.image.layout import Layout
from assembler.model.reference import Reference
from assembler.registry.responses import Refused
from assembler.report.budget import Baseline
from assembler.report.record import RECORD_NAME, BuildRecord

if TYPE_CHECKING:
    from collections.abc import Iterable

    from assembler.commands.registries import Registries
    from assembler.image.image import Image as OciImage
    from assembler.model.platform import Platform
    from assembler.progress import Progress
    from assembler.recipe.model import Image


def find_baselines(
    images: Iterable[Image], registries: Registries, platform: Platform, progress: Progress
) -> dict[str, Baseline]:
    """By the image's name, for those whose growth has a limit. One that is not there yet is told, and left out."""
    found: dict[str, Baseline] = {}
    for image in images:
        growth = image.budget.growth
        where = (growth.baseline or image.reference) if growth else None
        baseline = find_baseline(where, image.name, registries, platform) if where is not None else None
        if baseline is not None:
            found[image.name] = baseline
        elif growth:
            progress.warn(f"image {image.name}: nothing is at {where} yet, so its growth has no limit this time")
    return found


def find_baseline(
    where: str | Path, name: str, registries: Registries, platform: Platform | None
) -> Baseline | None:
    """``where`` is a build's directory or another layout, or a reference, of which only manifest and config are read.

    ``name`` chooses from a build of several images. None where there is nothing.
    """
    if isinstance(where, str):
        return _in_registry(Reference.parse(where), registries, platform)
    if (where / RECORD_NAME).is_file() or where.name == RECORD_NAME:
        return _of_build(where, name)
    return _sizes(str(where), read_image(Layout.open(where), platform=platform)) if where.exists() else None


def _of_build(where: Path, name: str) -> Baseline | None:
    images = BuildRecord.load(where).images
    alike = [image for image in images if image.name == name] or list(images[:1] if len(images) == 1 else ())
    return Baseline.of_image(str(where), alike[0]) if alike else None


def _in_registry(reference: Reference, registries: Registries, platform: Platform | None) -> Baseline | None:
    try:
        return _sizes(str(reference), registries.image(reference, platform))
    except Refused as refused:
        if refused.status == 404:
            return None
        raise


def _sizes(name: str, image: OciImage) -> Baseline:
    sizes = [descriptor.size for descriptor, _ in image.layers]
    return Baseline(name, sizes[-1] if sizes else 0, sum(sizes))
