"""How an image is run: these keys of [[image]], the config that they make, and their lines in a plan.

The config's keys are the image-spec's (config.md), but three that the spec leaves to Docker: Healthcheck, OnBuild and
Shell (docker-image-spec v1.3, DockerOCIImageConfigExt).
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import Annotated, Any

from pydantic import AfterValidator, Field, model_validator

from assembler.model.run_config import NO_HEALTHCHECK, Healthcheck, RunConfig
from assembler.recipe.rows import Row, pairs
from assembler.recipe.table import Shorthand, Table
from assembler.recipe.values import VARIABLE, ContainerPath, Duration, Environment, Port, Script, Signal, Text, fail

_OF_DOCKERFILES = frozenset({"FROM", "ONBUILD", "MAINTAINER"})


class HealthcheckTable(Table):
    """How an engine finds out whether a container of the image still works."""

    test: Script = Field(description="A script for the image's shell, or a list that is executed; 0 means healthy.")
    interval: Duration | None = Field(default=None, description='Between two checks; the engine takes "30s".')
    timeout: Duration | None = Field(default=None, description='A check that takes longer failed; "30s".')
    start_period: Duration | None = Field(default=None, description="How long failures do not count at the start.")
    start_interval: Duration | None = Field(
        default=None, description="Between two checks in start_period; Docker since version 25.")
    retries: Annotated[int, Field(ge=1)] | None = Field(
        default=None, description="So many failures in a row mean unhealthy; the engine takes 3.")


def _none_alone(value: Any) -> Any:
    if isinstance(value, dict):
        return value
    return {"test": ["NONE"]} if value == "none" else fail(
        'expected a table, as { test = "curl -f http://localhost/" }, or "none", which takes the base\'s away'
    )


def _instruction(text: str) -> str:
    word = text.split(maxsplit=1)[0].upper()
    return text if word not in _OF_DOCKERFILES else fail(f"{word} can't be the instruction of an ONBUILD")


class RunTable(Table):
    """Of a list or table here, nothing keeps what the base says."""

    entrypoint: list[str] | None = Field(default=None, description="Config.Entrypoint; [] clears the base's.")
    cmd: list[str] | None = Field(default=None, description="Config.Cmd; [] clears the base's.")
    launcher: list[str] = Field(
        default=[], description="Stands before the base's own entrypoint and cmd, which it must exec as its arguments.")
    env: Environment = Field(default={}, description="Config.Env, beside the base's.")
    labels: dict[str, str] = Field(default={}, description="Config.Labels, beside the base's.")
    user: Text | None = Field(default=None, description="Config.User.")
    workdir: ContainerPath | None = Field(default=None, description="Config.WorkingDir.")
    ports: list[Port] = Field(default=[], description='Config.ExposedPorts: "8080", "53/udp".')
    volumes: list[ContainerPath] = Field(default=[], description="Config.Volumes.")
    stop_signal: Signal | None = Field(default=None, description="Config.StopSignal: SIGTERM.")
    healthcheck: Annotated[HealthcheckTable, Shorthand(_none_alone, ({"const": "none"}, VARIABLE))] | None = Field(
        default=None, description='Config.Healthcheck, as a table; "none" takes the base\'s away. podman reads it only '
        "of images in Docker's form: imgasm push --docker.")
    shell: Annotated[list[Text], Field(min_length=1)] | None = Field(
        default=None, description='Config.Shell: what Dockerfiles on this image run their scripts with. Like '
        "healthcheck it is Docker's own.")
    onbuild: list[Annotated[Text, AfterValidator(_instruction)]] | None = Field(
        default=None, description="Config.OnBuild: a Dockerfile's instructions for images on this one, which Docker "
        "and podman carry out; [] clears the base's.")

    @model_validator(mode="after")
    def _a_period_for_its_interval(self) -> RunTable:
        check = self.healthcheck
        if check is not None and check.start_interval is not None and check.start_period is None:
            fail("healthcheck.start_interval has no start_period to be used in")
        return self


def resolve(table: RunTable) -> RunConfig:
    check = _healthcheck(table.healthcheck) if table.healthcheck else None
    return table.into(RunConfig, healthcheck=check)


def _healthcheck(table: HealthcheckTable) -> Healthcheck:
    if table.test == ["NONE"]:
        return NO_HEALTHCHECK
    test = ("CMD-SHELL", table.test) if isinstance(table.test, str) else ("CMD", *table.test)
    return table.into(Healthcheck, test=test)


def rows(config: RunConfig) -> Iterator[Row]:
    """What the config says beyond the base's."""
    yield "entrypoint", _command(config.entrypoint)
    yield "cmd", _command(config.cmd)
    yield "launcher", _command(config.launcher or None)
    yield "env", pairs(config.env)
    yield "labels", pairs(config.labels)
    yield "user", config.user or ""
    yield "workdir", config.workdir or ""
    yield "ports", " ".join(config.ports)
    yield "volumes", " ".join(config.volumes)
    yield "stop signal", config.stop_signal or ""
    yield "healthcheck", _check(config.healthcheck) if config.healthcheck else ""
    yield "shell", _command(config.shell)
    yield "onbuild", "; ".join(config.onbuild) or _command(()) if config.onbuild is not None else ""


def _command(words: tuple[str, ...] | None) -> str:
    if words is None:
        return ""
    return shlex.join(words) if words else "none (the base's is cleared)"


def _check(check: Healthcheck) -> str:
    if check == NO_HEALTHCHECK:
        return "none (the base's is taken away)"
    times = {"every": check.interval, "timeout": check.timeout, "start period": check.start_period,
             "every at the start": check.start_interval}  # fmt: skip
    said = [f"{what} {seconds:g} s" for what, seconds in times.items() if seconds is not None]
    said += [f"{check.retries} retries"] if check.retries is not None else []
    return ", ".join([shlex.join(check.test[1:]) if check.test[0] == "CMD" else check.test[1], *said])
