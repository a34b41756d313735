"""From a container's files to images in a layout, and the record of what they came from and cost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from assembler.commands.attribution import Attribution
from assembler.commands.budget import check_budgets, through_links
from assembler.commands.materials import materials
from assembler.commands.write_images import write_images
from assembler.commands.write_record import Outcome, engine_name, keep_record, make_record
from assembler.report.build_text import idle_rules

if TYPE_CHECKING:
    from collections.abc import Mapping

    from assembler.changeset.capture import Capture
    from assembler.commands.bases import Bases
    from assembler.commands.inputs import Surroundings
    from assembler.commands.job import Job
    from assembler.image.layout import Layout
    from assembler.measure.step_meter import Meter
    from assembler.model.inputs import Inputs
    from assembler.recipe.sources import Source
    from assembler.report.build_record import BuildRecord


@dataclass(frozen=True, slots=True)
class BuildWriter:
    """``layout`` is the job's output, which contents may be spooled to while the container is read. ``sources`` are
    sha256 digests as hex."""

    job: Job
    bases: Bases
    surroundings: Surroundings
    layout: Layout
    sources: Mapping[Source, str]

    def write(
        self, capture: Capture, meter: Meter, inputs: Inputs | None, notes: tuple[str, ...] = ()
    ) -> BuildRecord:
        """Writes the images of the recipe and the record beside them. ``notes`` are more that has to be told of it."""
        recipe, engine, progress = self.job.recipe, self.job.engine, self.job.world.progress
        layout = self.layout
        written = write_images(recipe, capture, layout, self.bases, self.job.options)
        outcomes = [Outcome(image, one) for image, one in zip(recipe.images, written, strict=True)]
        ran = engine_name(engine.info, capture) if engine else None
        record = make_record(recipe, ran, Attribution(capture, meter, recipe.prune.presets), outcomes, layout)
        idle = [f"{rule} matched nothing: is it still needed?" for rule in idle_rules(record)]
        told = dict.fromkeys((*(warning for one in written for warning in one.warnings), *idle))
        warnings = tuple(map(recipe.secrets.mask, told))
        record = record.model_copy(update={
            "inputs": inputs, "materials": tuple(materials(recipe, self.bases, self.sources)), "warnings": warnings,
            "notes": (*record.notes, *notes),
        })  # fmt: skip
        budgets = {image.name: image.budget for image in recipe.images}
        files = through_links(budgets.values(), capture.final)
        record = check_budgets(record, budgets, self.surroundings.baselines, files)
        keep_record(record, layout, progress)
        for warning in idle:
            progress.warn(warning)
        return record
