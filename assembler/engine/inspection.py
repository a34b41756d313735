"""What an engine says of a container (``container inspect``), checked.

python-on-whales asks again for each property of an answer that is older than 0.2 s, and its import takes a short build
half as much processor time as all the rest of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from assembler.engine.client_process import ask
from assembler.errors import EngineError

if TYPE_CHECKING:
    from assembler.engine.endpoint import Endpoint


class State(BaseModel):
    pid: int = Field(alias="Pid")
    running: bool = Field(alias="Running")
    exit_code: int = Field(alias="ExitCode")
    oom_killed: bool = Field(default=False, alias="OOMKilled")


class Mounted(BaseModel):
    """``source`` as the engine sees it. Binds have no ``name``."""

    type: str = Field(alias="Type")
    destination: str = Field(alias="Destination")
    name: str | None = Field(default=None, alias="Name")
    source: str | None = Field(default=None, alias="Source")


class _Graph(BaseModel):
    data: dict[str, Any] | None = Field(default=None, alias="Data")


class Inspected(BaseModel):
    """``graph`` is what the storage driver says; Docker's containerd store says nothing."""

    state: State = Field(alias="State")
    mounts: list[Mounted] = Field(default=[], alias="Mounts")
    graph: _Graph | None = Field(default=None, alias="GraphDriver")


_ANSWER: Final = TypeAdapter(list[Inspected])


def inspect(engine: Endpoint, name: str) -> Inspected:
    what = f"{engine.name} could not inspect the container"
    answer = ask(engine.command("container", "inspect", name), what)
    try:
        return _ANSWER.validate_json(answer)[0]
    except (ValidationError, IndexError) as error:
        raise EngineError(f"{what}: its answer is not understood", detail=str(error)) from error
