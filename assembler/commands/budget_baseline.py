"""What images are compared with when their growth is limited: a former build, a layout, or what a registry has."""

from __future__ import annotations

from typing import TYPE_CHECKING

from assembler.model.place import Place, Store
from assembler.places.open import open_place
from assembler.registry.responses import Refused
from assembler.report.budget import Baseline
from assembler.report.build_records import Builds, is_build

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from assembler.image.image import Image as OciImage
    from assembler.model.platform import Platform
    from assembler.places.world import World
    from assembler.recipe.images import Image


def find_baselines(images: Iterable[Image], world: World, platform: Platform) -> dict[str, Baseline]:
    """By the image's name, for those whose growth has a limit. One that is missing is a warning, and left out."""
    found: dict[str, Baseline] = {}
    for image in images:
        growth = image.budget.growth
        where = (growth.baseline or image.reference) if growth else None
        baseline = find_baseline(Place.told(where), image.name, world, platform) if where is not None else None
        if baseline is not None:
            found[image.name] = baseline
        elif growth:
            world.progress.warn(f"image {image.name}: there is nothing at {where} yet, "
                                "so its growth has no limit this time")
    return found


def find_baseline(place: Place, name: str, world: World, platform: Platform | None) -> Baseline | None:
    """Of a build's directory its record is read, of any other place manifest and config. None where nothing is.

    ``name`` chooses from a build of several images.
    """
    if place.store is not Store.REGISTRY:
        if is_build(place.path):
            return _of_build(place.path, name)
        if place.store is not Store.ENGINE and not place.path.exists():
            return None
    try:
        with open_place(place, world) as found:
            return _sizes(str(place), found.one(platform=platform).for_platform(platform).image)
    except Refused as refused:
        if refused.status == 404:
            return None
        raise


def _of_build(where: Path, name: str) -> Baseline | None:
    images = [image for _, image in Builds.load(where).images()]
    alike = [image for image in images if image.name == name] or (images if len(images) == 1 else [])
    return Baseline.of_image(str(where), alike[0]) if alike else None


def _sizes(name: str, image: OciImage) -> Baseline:
    sizes = [descriptor.size for descriptor, _ in image.layers]
    return Baseline(name, sizes[-1] if sizes else 0, sum(sizes))
