"""How an image is run (image-spec config.md, "config"): what a recipe says of it, and what that makes of a base's."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Healthcheck:
    """``test`` as Docker's config has it: CMD and arguments, CMD-SHELL and a script, or NONE. Times are seconds; of
    what is None the engine decides."""

    test: tuple[str, ...]
    interval: float | None = None
    timeout: float | None = None
    start_period: float | None = None
    start_interval: float | None = None
    retries: int | None = None


NO_HEALTHCHECK: Final = Healthcheck(("NONE",))


@dataclass(frozen=True, slots=True)
class RunConfig:
    """What the image's config says about running it. None, or nothing, keeps what the base says.

    An ``entrypoint`` without a ``cmd`` drops the base's cmd, as a Dockerfile's ENTRYPOINT does: it was meant for
    another program. An empty tuple removes what the base says. ``launcher`` is put before whatever entrypoint and cmd
    result, which it gets as its arguments.
    """

    entrypoint: tuple[str, ...] | None = None
    cmd: tuple[str, ...] | None = None
    env: dict[str, str] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)
    user: str | None = None
    workdir: str | None = None
    ports: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()
    launcher: tuple[str, ...] = ()
    stop_signal: str | None = None
    healthcheck: Healthcheck | None = None
    shell: tuple[str, ...] | None = None
    onbuild: tuple[str, ...] | None = None


def run_section(run: RunConfig, base: Json) -> Json:
    """The section "config" of an image config: the ``base``'s with what ``run`` says."""
    config = dict(base)
    if run.entrypoint is not None:
        config["Entrypoint"] = list(run.entrypoint)
        config.pop("Cmd", None)
    if run.cmd is not None:
        config["Cmd"] = list(run.cmd)
    if run.launcher:
        config["Entrypoint"] = [*run.launcher, *(config.get("Entrypoint") or [])]
    if run.env:
        config["Env"] = _merged_env(config.get("Env") or [], run.env)
    if run.labels:
        config["Labels"] = {**(config.get("Labels") or {}), **run.labels}
    for key, value in (("User", run.user), ("WorkingDir", run.workdir), ("StopSignal", run.stop_signal)):
        if value is not None:
            config[key] = value
    ports = (port if "/" in port else f"{port}/tcp" for port in run.ports)
    for key, names in (("ExposedPorts", ports), ("Volumes", iter(run.volumes))):
        added: Json = {name: {} for name in names}
        if added:
            config[key] = {**(config.get(key) or {}), **added}
    if run.healthcheck is not None:
        config["Healthcheck"] = _healthcheck(run.healthcheck)
    for key, words in (("Shell", run.shell), ("OnBuild", run.onbuild)):
        if words:
            config[key] = list(words)
        elif words is not None:
            config.pop(key, None)
    return {key: value for key, value in config.items() if key not in ("Entrypoint", "Cmd") or value}


def _healthcheck(check: Healthcheck) -> Json:
    """docker-image-spec v1.3, HealthcheckConfig: nanoseconds, and nothing for what the engine decides."""
    seconds = {"Interval": check.interval, "Timeout": check.timeout, "StartPeriod": check.start_period,
               "StartInterval": check.start_interval}  # fmt: skip
    times = {key: round(value * 1_000_000_000) for key, value in seconds.items() if value is not None}
    return {"Test": list(check.test), **times, **({"Retries": check.retries} if check.retries is not None else {})}


def _merged_env(base: list[str], added: dict[str, str]) -> list[str]:
    """Variables keep the base's order; a new value stands where the old one stood."""
    variables = dict(item.partition("=")[::2] for item in base)
    return [f"{name}={value}" for name, value in {**variables, **added}.items()]
