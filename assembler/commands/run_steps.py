"""The steps of a build, one after the other in its one container."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from assembler.commands.cache_volumes import alone_with_caches, volumes
from assembler.commands.capture_container import ContainerReader
from assembler.commands.changes_under_mounts import refuse_changes_under_mounts
from assembler.commands.secret_values import SecretValues
from assembler.engine.container import ContainerSpec
from assembler.engine.step import Command
from assembler.engine.writable_layer import writable_layer
from assembler.errors import StepFailed
from assembler.measure.step_meter import Directories
from assembler.model.size import human
from assembler.progress import lines_to

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from assembler.changeset.capture import Capture
    from assembler.commands.job import Job
    from assembler.engine.container import Bind
    from assembler.engine.session import Session
    from assembler.measure.step_meter import Meter
    from assembler.model.platform import Platform
    from assembler.model.step_usage import StepUsage
    from assembler.recipe.recipe import Recipe
    from assembler.recipe.steps import Step


@dataclass(slots=True)
class Run:
    """The steps in their container: ``done`` of them have ended well. ``failed`` is what an attempt before cost, and
    ``entered`` says that somebody was there by hand. ``after_step`` hears of each that has ended well."""

    job: Job
    session: Session
    meter: Meter
    done: int = 0
    failed: StepUsage | None = None
    entered: bool = False
    secrets: SecretValues = field(default_factory=SecretValues)
    after_step: Callable[[Run], None] | None = None

    def go_on(self) -> None:
        """Runs the steps that are left, alone with the caches that are not shared."""
        with alone_with_caches(self.job):
            self._run_all()

    def _run_all(self) -> None:
        recipe, progress = self.job.recipe, self.job.world.progress
        for number, step in list(enumerate(recipe.steps, 1))[self.done:]:
            began = self.job.world.clock.wall()
            label = f"[{number}/{len(recipe.steps)}] {step.name}"
            with (progress.task(label, unit="lines") as task,
                  self.meter.step(step.name, self.failed, task.holds) as measured):
                self._run(step, lines_to(progress, task))
            self.failed = None
            self.meter.usages[-1] = replace(self.meter.usages[-1], at=began)
            if (usage := measured.usage) is not None:
                added = f", {human(usage.added)} written" if usage.added is not None else ""
                layer = f", {human(usage.layer)} in the container now" if usage.layer is not None else ""
                progress.say(f"{label}: {usage.seconds:.1f} s{added}{layer}")
            refuse_changes_under_mounts(self.session, recipe, f"step {step.name!r}")
            self.done = number
            if self.after_step is not None:
                self.after_step(self)

    def _run(self, step: Step, on_line: Callable[[str], None]) -> None:
        """As often as its ``retries`` allow. What an attempt has written is there for the next one."""
        recipe, session, world = self.job.recipe, self.session, self.job.world
        for attempt in range(step.retries + 1):
            try:
                with self.secrets.given_to(step, command_of(recipe, step), session.container) as command:
                    session.run(command, on_line)
                return
            except StepFailed as failed:
                if attempt == step.retries:
                    raise
                pause = 2.0**attempt
                world.progress.say(f"{failed.message}; trying again in {pause:.0f} s ({attempt + 1} of {step.retries})")
                world.clock.sleep(pause)

    @contextmanager
    def capture(self, base: str) -> Iterator[Capture]:
        """What the steps have left. ``base`` is the engine's image that the container was started from."""
        job = self.job
        reader = ContainerReader(self.session, base, job.recipe.images, job.output, job.world.progress)
        with self.session.paused(), reader.capture(job.options.way) as capture:
            yield capture


def container_of(
    job: Job, image: str, platform: Platform, secrets: SecretValues, binds: tuple[Bind, ...] = ()
) -> ContainerSpec:
    return ContainerSpec(image, job.options.build, job.recipe.container, platform, (*binds, *secrets.binds),
                         job.recipe.secrets, secrets.directory, volumes(job.recipe))  # fmt: skip


def command_of(recipe: Recipe, step: Step) -> Command:
    env = {**_clamp(recipe), **recipe.container.env, **step.env}
    return Command(step.name, step.argv, env, step.workdir, step.user, step.timeout)


def directories_of(session: Session) -> Directories:
    """Where the steps' bytes can be counted."""
    found = writable_layer(session)
    return Directories(
        upper=found.directory if found else None,
        whole=found.whole if found else False,
        scratch=session.scratch_directories(),
        disk=session.container.disk,
        enter=found.enter if found else (),
        caches=session.scratch_directories(caches=True),
    )


def _clamp(recipe: Recipe) -> dict[str, str]:
    """Compilers, archivers and kbuild write the time into files, where no clamp of ours reaches; but they ask this."""
    return {} if recipe.source_date_epoch is None else {"SOURCE_DATE_EPOCH": str(recipe.source_date_epoch)}
