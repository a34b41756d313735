"""A build that would make what is there already."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from assembler.errors import ImageError, ImgasmError
from assembler.image.blob_origins import missing, origins
from assembler.image.image import read_image
from assembler.image.index_entries import entry_called
from assembler.image.layout import Layout
from assembler.model import media_types
from assembler.model.descriptor import Descriptor
from assembler.model.digest import Digest
from assembler.model.reference import Reference
from assembler.model.step_usage import is_older
from assembler.report.build_records import Builds, is_build

if TYPE_CHECKING:
    from assembler.commands.bases import Bases
    from assembler.commands.inputs import Surroundings
    from assembler.commands.job import Job
    from assembler.model.inputs import Inputs
    from assembler.recipe.recipe import Recipe
    from assembler.recipe.sources import Source
    from assembler.report.build_record import BuildRecord, ImageReport


def former_build(output: Path, recipe: str) -> BuildRecord | None:
    """What is told of the last build of ``recipe`` into ``output``; None where that does not tell what it came from."""
    try:
        former = Builds.load(output).of_recipe(recipe) if is_build(output) else None
    except ImgasmError:
        return None
    return former if former is not None and former.inputs is not None and former.images else None


def stands(former: BuildRecord, job: Job, bases: Bases, surroundings: Surroundings) -> bool:
    """Whether another build would make what ``former`` tells of, and all of that is there. Says why not.

    Blobs are looked at, not read: ``imgasm verify`` finds a disk's mistakes.
    """
    reason = (_unpinned(job.recipe) or _refused(former, job)
              or _too_old(former, job.recipe, job.world.clock.wall()))
    if reason is None:
        now = surroundings.inputs(known_sources(job))
        if now is not None and now == former.inputs and all(_is_whole(image, job.output) for image in former.images):
            return True
        reason = _changes(now, former.inputs) if now and former.inputs else "what its base is can't be known yet"
    job.world.progress.say(f"building again: {reason}")
    return False


def is_unpinned(recipe: Recipe) -> bool:
    """Whether nobody can tell, before anything is fetched and run, what the recipe makes today."""
    return _unpinned(recipe) is not None or any(step.max_age is not None for step in recipe.steps)


def _unpinned(recipe: Recipe) -> str | None:
    """Why nobody can tell, before anything is fetched, what the recipe makes."""
    names = [source.name for source in recipe.sources if source.sha256 is None]
    if names:
        return f"what source {names[0]} is can't be known before it is fetched"
    kernels = (one for image in recipe.images for one in image.kernels or () if isinstance(one, Path))
    directory = next((path for path in kernels if not path.is_file()), None)
    return f"whether the kernel in {directory} is what it was can't be known" if directory is not None else None


def _refused(former: BuildRecord, job: Job) -> str | None:
    """What was let through once is not let through for ever."""
    refused = [image.name for image in former.images if image.verdicts is not None and image.verdicts.is_refused]
    return f"a kernel would refuse the modules of {refused[0]}" if refused and not job.options.may_refuse else None


def _too_old(former: BuildRecord, recipe: Recipe, now: float) -> str | None:
    for step, usage in zip(recipe.steps, former.steps, strict=False):
        if is_older(usage, step.max_age, now):
            return f"step {step.name} is older than its max_age"
    return None


def _changes(now: Inputs, former: Inputs) -> str:
    changes = list(now.changes(former)) or ["not all of its images are there any more"]
    return changes[0] + (f", and {len(changes) - 1} more" if len(changes) > 1 else "")


def known_sources(job: Job) -> dict[Source, str]:
    """sha256 digests. Files of this machine are read again: they may be others than those that were pinned."""
    if job.engine is None:
        return {}
    known = {source: source.sha256 for source in job.recipe.sources if source.sha256 is not None}
    local = [source for source in known if source.url.startswith("file:")]
    if local:
        with job.world.fetcher() as fetcher:
            return known | {source: fetcher.fetch(source.url, source.sha256).sha256 for source in local}
    return known


def _is_whole(report: ImageReport, output: Path) -> bool:
    """Listed under its name, with every blob that is not another registry's."""
    reference = Reference.parse(report.reference or f"localhost/{report.name}:latest").with_default_tag()
    try:
        layout = Layout.open(output)
        wanted = Descriptor(media_types.OCI_MANIFEST, Digest.parse(report.manifest), 0)
        names = entry_called(wanted, reference).annotations
        for entry in layout.index():
            if str(entry.digest) == report.manifest and names.items() <= entry.annotations.items():
                image = read_image(layout, entry)
                lacking = {str(blob.digest) for blob in missing(layout, image)}
                return not lacking or (report.layer.digest not in lacking and bool(origins(entry, image)))
    except ImageError:
        pass
    return False
