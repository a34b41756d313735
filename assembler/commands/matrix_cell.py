"""One cell of a matrix, on the machine that an engine chose: its image is built and pushed, unless it is there."""

from __future__ import annotations

import os
from dataclasses import asdict
from typing import TYPE_CHECKING

from assembler.commands.budget import raise_if_broken
from assembler.commands.build import build, foreseen_inputs, needs_engine
from assembler.commands.clean import clean_cache, clean_engine
from assembler.commands.open_recipe import open_recipe
from assembler.errors import RecipeError
from assembler.image.annotations import AXIS, INPUTS
from assembler.image.assemble import annotated
from assembler.model.descriptor import canonical_json
from assembler.model.digest import Digest
from assembler.model.place import Place, Store
from assembler.places.open import open_place
from assembler.places.send_to_registry import Shipment, send
from assembler.places.temporary_layout import temporary_layout
from assembler.registry.pull import fetch_manifest
from assembler.registry.push import PushOptions
from assembler.report.fleet_report import CellReport

if TYPE_CHECKING:
    from collections.abc import Mapping

    from assembler.commands.job import BuildOptions
    from assembler.image.layout import Layout
    from assembler.model.inputs import Inputs
    from assembler.model.reference import Reference
    from assembler.places.world import World
    from assembler.recipe.matrix_plan import Cell, MatrixPlan
    from assembler.recipe.recipe import Recipe
    from assembler.report.build_record import BuildRecord


def build_cell(
    plan: MatrixPlan, cell: Cell, secrets: Mapping[str, str], world: World, options: BuildOptions
) -> CellReport:
    """``secrets`` are the values of what the plan takes from the environment."""
    start = world.clock.monotonic()
    recipe = open_recipe(plan.recipe, {**plan.settings, **secrets, **cell.values})
    reference = plan.reference(cell)
    report = CellReport(key=cell.key, values=dict(cell.values), outcome="kept", reference=str(reference),
                        host=os.uname().nodename)  # fmt: skip
    inputs = foreseen_inputs(recipe, world, options) if options.cache else None
    if inputs is not None and (there := _there(reference, _digest(inputs), world)) is not None:
        world.progress.say(f"{reference} has come from the same inputs")
        return report.model_copy(update={"digest": str(there)})
    _tidy(recipe, world, options)
    with temporary_layout(world.cache) as layout:
        record = build(recipe, layout.root, world, options)
        raise_if_broken(record)
        digest = _push(plan, cell, layout, record, world)
    seconds = world.clock.monotonic() - start
    return report.model_copy(update={"outcome": "built", "digest": str(digest), "seconds": seconds})


def _digest(inputs: Inputs) -> str:
    return Digest.of(canonical_json(asdict(inputs))).hex


def _there(reference: Reference, inputs: str, world: World) -> Digest | None:
    """The digest of what ``reference`` leads to, if that says that it has come from ``inputs``."""
    with world.registries.repository(reference) as repository:
        if repository.manifest_digest(reference.identifier) is None:
            return None
        found = fetch_manifest(repository, reference.identifier)
    annotations = found.value.get("annotations") or {}
    return found.descriptor.digest if annotations.get(INPUTS) == inputs else None


def _tidy(recipe: Recipe, world: World, options: BuildOptions) -> None:
    """What killed cells have left here: nobody else cleans the machines of a fleet."""
    removed = clean_cache(world.cache)
    if needs_engine(recipe):
        removed += clean_engine(world.runner(options.engine), world)
    for line in removed:
        world.progress.say(f"removed {line}")


def _push(plan: MatrixPlan, cell: Cell, layout: Layout, record: BuildRecord, world: World) -> Digest:
    """Under the cell's key, with what can be chosen by on the manifest."""
    told = {AXIS + name: value for name, value in cell.values.items()}
    if record.inputs is not None:
        told[INPUTS] = _digest(record.inputs)
    with open_place(Place(Store.LAYOUT, str(layout.root)), world) as found:
        held = found.one(_manifest(plan, record))
        held = held.with_image(annotated(held.image, told), layout)
        shipment = Shipment([held], plan.reference(cell), {held.digest: (cell.key,)})
        return send(shipment, world, PushOptions(), copy_far=plan.copy_base_layers).digest


def _manifest(plan: MatrixPlan, record: BuildRecord) -> str:
    """The digest of the image that the plan means."""
    meant = [image.manifest for image in record.images if plan.image in (None, image.name)]
    if len(meant) != 1:
        names = ", ".join(image.name for image in record.images)
        raise RecipeError(f"{plan.file.name}: which image of {plan.recipe.name} is meant?",
                          hint=f"image = \"NAME\" says so; it has {names}.")
    return meant[0]
