"""[container]: how the one container runs."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Annotated

from pydantic import Field

from assembler.model.container import Container
from assembler.recipe.problems import Problems
from assembler.recipe.rows import Row, pairs
from assembler.recipe.table import MAY_BE_SECRET, Table
from assembler.recipe.values import Capability, Environment, ScratchPath, Text


class ContainerTable(Table):
    """How the one container runs."""

    privileged: bool = Field(
        default=False, description="All capabilities and devices: only for steps that insert modules.")
    cap_add: list[Capability] = Field(
        default=[], description="Capabilities beyond the engine's default: SYS_MODULE, or MKNOD for device nodes with "
        "podman 5.")
    security_opt: list[Text] = Field(default=[], description="The engine's --security-opt.")
    devices: list[Text] = Field(default=[], description="Devices of the host: /dev/fuse.")
    network: Text | None = Field(default=None, description="The engine's --network: host, none, or a network's name.")
    scratch: list[ScratchPath] = Field(
        default=[], description="Directories on volumes: nothing in them can reach a layer.")
    env: Annotated[Environment, MAY_BE_SECRET] = Field(
        default={}, description="Environment of every step; no image gets it.")
    shell: Annotated[list[Text], Field(min_length=1)] = Field(
        default=["/bin/sh", "-e", "-c"], description="Runs the steps' scripts; the script is the last argument.")


def check(table: ContainerTable, problems: Problems) -> None:
    problems.unique((("container", "scratch", number), path) for number, path in enumerate(table.scratch))


def resolve(table: ContainerTable) -> Container:
    return table.into(Container, scratch=tuple(map(PurePosixPath, table.scratch)))


def rows(container: Container) -> Iterator[Row]:
    yield "privileged", "yes" if container.privileged else ""
    yield "capabilities", " ".join(container.cap_add)
    yield "security", " ".join(container.security_opt)
    yield "devices", " ".join(container.devices)
    yield "network", container.network or ""
    yield "scratch", " ".join(map(str, container.scratch))
    yield "environment", pairs(container.env)
    yield "shell", shlex.join(container.shell)
