"""[[step]]: scripts and commands in the container."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Annotated

from pydantic import Field

from assembler.recipe.problems import Problems
from assembler.recipe.rows import Row, columns, pairs
from assembler.recipe.table import MAY_BE_SECRET, Table
from assembler.recipe.values import ContainerPath, Duration, Environment, Script, Text


class StepTable(Table):
    """A script or command in the container."""

    name: Text = Field(description="What reports call it.")
    run: Script = Field(description="A script for the container's shell, or a list that is executed as it is.")
    env: Annotated[Environment, MAY_BE_SECRET] = Field(
        default={}, description="Environment of this step, beside the container's.")
    workdir: ContainerPath | None = Field(default=None, description="The directory to run in.")
    user: Text | None = Field(default=None, description="user or user:group to run as.")
    timeout: Duration | None = Field(default=None, description='"30m", "1h30m", or a number of seconds.')
    ssh: bool = Field(
        default=False, description="Whether the step can use imgasm's own SSH agent (SSH_AUTH_SOCK): for git over SSH.")
    retries: Annotated[int, Field(ge=0, le=10)] = Field(
        default=0, description="How often the step is tried again when it fails: for what comes over the network.")
    checkpoint: bool | None = Field(
        default=None, description="Whether the container's state after this step is kept for other builds to start "
        "from. By default it is where the step took much longer than that.")
    max_age: Duration | None = Field(
        default=None, description="How old what this step has made may be, where a build starts from a checkpoint or "
        'nothing changed since the last one: "12h", "168h".')


@dataclass(frozen=True, slots=True)
class Step:
    """``argv`` is what is executed: a script is already wrapped in the container's shell."""

    name: str
    argv: tuple[str, ...]
    script: str | None = None
    env: dict[str, str] = field(default_factory=dict)
    workdir: PurePosixPath | None = None
    user: str | None = None
    timeout: float | None = None
    """Seconds; None means as long as it takes."""
    ssh: bool = False
    retries: int = 0
    checkpoint: bool | None = None
    """None leaves it to what it costs."""
    max_age: float | None = None
    """Seconds; None means any."""


def check(tables: Sequence[StepTable], problems: Problems) -> None:
    problems.unique((("step", number, "name"), step.name) for number, step in enumerate(tables))


def resolve(table: StepTable, shell: Sequence[str]) -> Step:
    """``shell`` runs the scripts."""
    script = table.run if isinstance(table.run, str) else None
    return table.into(
        Step,
        argv=tuple(table.run) if script is None else (*shell, script),
        script=script,
        workdir=PurePosixPath(table.workdir) if table.workdir else None,
    )


def lines(number: int, step: Step) -> Iterator[str]:
    """A title, what is special about the step, and its script as it will run."""
    yield ""
    yield f'step {number} "{step.name}"'
    yield from columns(_rows(step))
    for line in (step.script or "").strip("\n").splitlines():
        yield f"    {line}".rstrip()


def _rows(step: Step) -> Iterator[Row]:
    yield "user", step.user or ""
    yield "workdir", str(step.workdir or "")
    yield "environment", pairs(step.env)
    yield "timeout", f"{step.timeout:g} s" if step.timeout else ""
    yield "SSH agent", "yes" if step.ssh else ""
    yield "retries", str(step.retries or "")
    yield "checkpoint", {None: "", True: "always, as root on the engine's machine", False: "never"}[step.checkpoint]
    yield "max age", f"{step.max_age:g} s" if step.max_age else ""
    yield "execute", shlex.join(step.argv) if step.script is None else ""
