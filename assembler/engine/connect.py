"""Finding a container engine that answers, or doing without one."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Final

from assembler.engine.client import Engine
from assembler.engine.client_process import ask
from assembler.engine.host.engine import HostEngine
from assembler.engine.info import EngineInfo, read_info
from assembler.engine.refusal import NOT_ALLOWED
from assembler.errors import EngineError, UsageError
from assembler.model.engines import ENGINES, EngineName

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from assembler.engine.runner import Runner

_HINT: Final = ("Start Docker (sudo systemctl start docker), run this with sudo if you may not use it, or let "
                "scripts/with-engine start a private one: scripts/with-engine imgasm build ...")

_NOWHERE: Final[Mapping[EngineName, str]] = {}


def runner(
    folder: Path, name: EngineName | None = None, options: Sequence[str] = (),
    hosts: Mapping[EngineName, str] = _NOWHERE,
) -> Runner:  # fmt: skip
    """As :func:`connect`; where no engine answers, and none was named, this machine itself, which keeps in ``folder``
    what it needs."""
    if name == "host":
        return HostEngine(folder)
    try:
        return connect(name, options, hosts)
    except EngineError as no_engine:
        if name is not None or hosts:
            raise
        try:
            return HostEngine(folder)
        except EngineError as no_host:
            no_engine.detail = f"{no_engine.detail}\n{no_host.message}"
            raise no_engine from no_host


def connect(
    name: EngineName | None = None, options: Sequence[str] = (), hosts: Mapping[EngineName, str] = _NOWHERE
) -> Engine:
    """The engine called ``name``, or the first of docker and podman that answers.

    ``options`` are the client's own, before its command: ``--runtime runc`` for podman, ``--context`` for docker. What
    docker and podman read from the environment (DOCKER_HOST, CONTAINERS_CONF) is honoured by themselves. ``hosts`` says
    of each engine which variable says where it is, as ``DOCKER_HOST=tcp://...``: that one is meant, so that no other
    takes its place when it does not answer.
    """
    if name == "host":
        raise UsageError("the engine host has no images of its own", hint="Name docker or podman with --engine.")
    failures = []
    for candidate in (name,) if name else ENGINES:
        try:
            return _reach(candidate, options if name else ())
        except EngineError as error:
            if candidate in hosts:
                raise _not_there(candidate, hosts[candidate], error) from error
            failures.append(error)
    wanted = f"{name} does not answer" if name else "no container engine answers"
    hint = NOT_ALLOWED if any(error.hint == NOT_ALLOWED for error in failures) else _HINT
    raise EngineError(wanted, hint=hint, detail="\n".join(error.message for error in failures))


def _not_there(name: EngineName, told: str, error: EngineError) -> EngineError:
    variable = told.partition("=")[0]
    hint = f"Check {variable} in the environment, or unset it to use the engine of this machine."
    return EngineError(f"{name} does not answer at {told}", hint=NOT_ALLOWED if error.hint == NOT_ALLOWED else hint,
                       detail=error.message)


def _reach(name: EngineName, options: Sequence[str]) -> Engine:
    program = shutil.which(name)
    if program is None:
        raise EngineError(f"{name}: not installed")
    call = [program, *options]
    return Engine(call, _info(name, call))


def _info(name: EngineName, command: list[str]) -> EngineInfo:
    answer = ask([*command, "info", "--format", "{{json .}}"], name, timeout=30)
    return read_info(answer, _endpoint(name, command))


def _endpoint(name: EngineName, command: list[str]) -> str:
    """Docker's context knows about DOCKER_HOST, DOCKER_CONTEXT and ``--context``."""
    if name == "podman":
        return "unix://"
    try:
        return ask([*command, "context", "inspect", "--format", "{{.Endpoints.docker.Host}}"], name).strip()
    except EngineError:
        return ""  # a docker that is really podman has no contexts; its info tells whether it is remote
