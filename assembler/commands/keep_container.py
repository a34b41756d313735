"""The container of a build that failed stays where that is wanted, with all that must be known to go on in it."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from assembler.commands.kept_builds import KeptBuild, KeptBuilds
from assembler.errors import ImgasmError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from assembler.commands.run_steps import Run
    from assembler.model.inputs import Inputs


@contextmanager
def keeping(run: Run, inputs: Inputs | None) -> Iterator[None]:
    """The container stays if the inside fails, as far as that can be and is wanted; or if it is wanted in any case.

    What is said of it is added to the error.
    """
    options = run.job.options
    try:
        yield
    except ImgasmError as error:
        if options.on_failure == "keep":
            for line in _keep(run, inputs):
                error.add_note(line)
        else:
            run.session.container.let_go()
            KeptBuilds(run.job.world.kept).remove(options.build)
            error.add_note("its container is gone; --on-failure keep leaves it, and imgasm resume goes on in it")
        raise
    if options.keep_container:
        for line in _keep(run, inputs):
            run.job.world.progress.say(line)


def _keep(run: Run, inputs: Inputs | None) -> Iterator[str]:
    """Says how to go on."""
    job, session = run.job, run.session
    if inputs is None:
        yield "its container could not be kept: what the base is could not be known"
        return
    try:
        session.container.keep()
        kept = _known_of(run, inputs)
        KeptBuilds(job.world.kept).save(kept)
    except (ImgasmError, OSError) as error:
        yield f"its container could not be kept: {error}"
        return
    client = session.container.client
    also = f", or {client} exec -it {kept.container} {job.recipe.container.shell[0]}" if client else ""
    yield f"its container stays, {kept.container}: imgasm shell enters it{also}"
    if kept.failed is not None:
        yield f"imgasm resume goes on at step {kept.failed} with the recipe as it is then"
    else:
        yield "imgasm assemble makes the images again, with keep, prune and [[image]] as they are then"
    yield "imgasm clean --kept removes the container"


def _known_of(run: Run, inputs: Inputs) -> KeptBuild:
    job, session = run.job, run.session
    assert job.engine is not None
    left = job.recipe.steps[run.done :]
    return KeptBuild(
        build=job.options.build,
        recipe=str(job.recipe.file),
        given=job.options.given,
        output=str(job.output.absolute()),
        engine=job.engine.name,
        engine_root=str(job.engine.info.root),
        way=job.options.way,
        created=job.options.created,
        inspect_base=job.options.inspect_base,
        may_refuse=job.options.may_refuse,
        inputs=inputs,
        done=run.done,
        failed=left[0].name if left else None,
        measured=run.meter.measurements,
        volumes=tuple(path.decode("latin-1") for path in session.aside.volumes),
        copied={path.decode("latin-1"): size for path, size in session.aside.copied.items()},
        entered=run.entered,
    )
