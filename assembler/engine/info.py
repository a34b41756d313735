"""What an engine says about itself (``docker info``, ``podman info``), checked, and in one form for both."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, Field, ValidationError

from assembler.engine.refusal import explain
from assembler.errors import EngineError
from assembler.model.engines import EngineName
from assembler.model.platform import Platform


@dataclass(frozen=True, slots=True)
class EngineInfo:
    """``root`` is where the engine keeps containers and images, as the engine sees it (:attr:`Engine.disk` is it here).

    ``local`` says that the engine is reached over a unix socket (``socket``) or is a program of this machine. Docker
    Desktop's virtual machine looks local, too: whether a container's process can be seen decides (:meth:`Session.pid`).
    """

    name: EngineName
    version: str
    storage_driver: str
    root: Path
    rootless: bool
    local: bool
    platform: Platform
    socket: Path | None = None


class _Reached(BaseModel):
    """Debian 13's docker 26 ends well where no daemon answers: all that it tells then is why."""

    errors: list[str] | None = Field(default=None, alias="ServerErrors")


class _Docker(BaseModel):
    version: str = Field(alias="ServerVersion", min_length=1)
    driver: str = Field(alias="Driver")
    root: Path = Field(alias="DockerRootDir")
    os: str = Field(alias="OSType")
    machine: str = Field(alias="Architecture")
    security: list[str] | None = Field(default=None, alias="SecurityOptions")


class _Security(BaseModel):
    rootless: bool


class _Host(BaseModel):
    arch: str
    os: str
    variant: str = ""
    remote: bool = Field(default=False, alias="serviceIsRemote")
    security: _Security


class _Store(BaseModel):
    driver: str = Field(alias="graphDriverName")
    root: Path = Field(alias="graphRoot")


class _Version(BaseModel):
    version: str = Field(alias="Version")


class _Podman(BaseModel):
    host: _Host
    store: _Store
    version: _Version


def read_info(text: str, endpoint: str) -> EngineInfo:
    """``text`` is what ``info --format '{{json .}}'`` prints; ``endpoint`` is docker's (``unix://...``).

    The form of the answer tells the engine, not the client's name: podman-docker installs a podman called docker.
    """
    try:
        if errors := _Reached.model_validate_json(text).errors:
            raise explain("docker", "\n".join(errors))
        return _podman(_Podman.model_validate_json(text)) if '"graphRoot"' in text else \
            _docker(_Docker.model_validate_json(text), endpoint)
    except ValidationError as error:
        problem = error.errors()[0]["msg"]
        raise EngineError(f"the engine's info is not understood: {problem}", detail=text[:500]) from error


def _docker(info: _Docker, endpoint: str) -> EngineInfo:
    machine = Platform.of_machine(info.machine)
    scheme, _, path = endpoint.partition("://")
    return EngineInfo("docker", info.version, info.driver, info.root,
                      rootless=any("rootless" in option for option in info.security or ()),
                      local=scheme == "unix", platform=Platform(info.os, machine.architecture, machine.variant),
                      socket=Path(path) if scheme == "unix" else None)


def _podman(info: _Podman) -> EngineInfo:
    return EngineInfo("podman", info.version.version, info.store.driver, info.store.root, info.host.security.rootless,
                      local=not info.host.remote, platform=_platform(info.host))


def _platform(host: _Host) -> Platform:
    """As Docker's: older podmans tell no variant, newer ones tell it also where nobody else does."""
    return Platform(host.os, host.arch, host.variant).normal()
