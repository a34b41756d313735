"""``imgasm load``: images of a layout into the local engine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from assembler.commands import cargo as cargos
from assembler.commands.fill import fill, fill_from_engine
from assembler.commands.scratch import scratch_layout
from assembler.commands.stream import streamed
from assembler.image.annotations import FULL_NAME
from assembler.image.archive import write_archive
from assembler.image.image import read_image
from assembler.image.layout import Layout
from assembler.model.reference import Reference

if TYPE_CHECKING:
    from pathlib import Path

    from assembler.commands.cargo import Cargo
    from assembler.commands.registries import Registries
    from assembler.engine.client import Engine
    from assembler.progress import Progress


@dataclass(frozen=True, slots=True)
class LoadedImage:
    """``reference`` is what to run; ``identity`` the engine's id of it."""

    reference: Reference | None
    identity: str


def load_layout(
    what: Path,
    name: str | None,
    engine: Engine,
    registries: Registries,
    progress: Progress,
    scratch: Path,
    *,
    copy_base_layers: bool = False,
) -> list[LoadedImage]:
    """Loads the image called ``name``, or all of them. zstd layers go in plain, so that every engine can read them.

    The layers of a base that was not pulled are the engine's own where it has them; from its registry they come only
    with ``copy_base_layers``, and stay below ``scratch`` no longer than the loading takes.
    """
    layout = Layout.open(what)
    loaded = []
    for listed in [layout.find(name)] if name else layout.index():
        cargo = cargos.of_image(read_image(layout, listed, engine.info.platform), layout, listed)
        with scratch_layout(scratch) as store:
            whole = (fill_from_engine(cargo, store, engine, progress) if cargo.far() else None) or fill(
                cargo, store, registries, progress, copy_far=copy_base_layers
            )
            called = listed.annotations.get(FULL_NAME)
            loaded.append(load_cargo(whole, Reference.parse(called) if called else None, engine, progress))
    return loaded


def load_cargo(cargo: Cargo, reference: Reference | None, engine: Engine, progress: Progress) -> LoadedImage:
    """One whole image, under the name ``reference``."""
    image = cargo.image
    store = cargo.store
    assert image is not None and store is not None
    names = [reference] if reference else []
    with (
        progress.task(f"loading {reference or image.descriptor.digest.short}") as task,
        streamed(
            lambda sink: write_archive(store, [(image, names)], sink, plain_layers=True, advance=task.advance)
        ) as archive,
    ):
        return LoadedImage(reference, engine.images.load(archive))
