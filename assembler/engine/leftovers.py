"""What a build that was killed could not remove: found by its labels, and removed if its owner is surely gone."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, Field, TypeAdapter

from assembler.engine.client_process import ask
from assembler.engine.container import KEPT
from assembler.engine.owner_labels import BUILD, OWNER, Owner
from assembler.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Callable

    from assembler.engine.endpoint import Endpoint

Kind = Literal["container", "image"]


@dataclass(frozen=True, slots=True)
class Leftover:
    """``build`` is the build's id; ``why`` says why it was removed, or why it stays."""

    kind: Kind
    name: str
    build: str
    why: str
    created: datetime


@dataclass(frozen=True, slots=True)
class Cleaning:
    removed: tuple[Leftover, ...]
    kept: tuple[Leftover, ...]


class _Config(BaseModel):
    labels: dict[str, str] | None = Field(default=None, alias="Labels")


class _State(BaseModel):
    status: str = Field(default="", alias="Status")


class _Thing(BaseModel):
    id: str = Field(alias="Id")
    created: datetime = Field(alias="Created")
    name: str | None = Field(default=None, alias="Name")
    config: _Config = Field(alias="Config")
    state: _State = Field(default_factory=_State, alias="State")


_THINGS = TypeAdapter(list[_Thing])


def remove_leftovers(
    engine: Endpoint, kept_goes: Callable[[str], bool] = lambda build: False, *, every: bool = False
) -> Cleaning:
    """Removes containers (with their scratch volumes) and imported images of builds whose process is gone.

    ``every`` also takes those whose owner can't be judged from here: another machine's, another container's. A build
    that is surely alive is never touched. What a build kept stays, unless ``kept_goes`` says of that build
    that it may go.
    """
    removed: list[Leftover] = []
    kept: list[Leftover] = []
    kinds: tuple[Kind, ...] = ("container", "image")
    for kind in kinds:  # in this order: an image that is used can't be removed
        for thing in _labelled(engine, kind):
            build, name = _label(thing, BUILD), (thing.name or thing.id).lstrip("/")
            is_kept = name.startswith(KEPT)
            goes, why = (kept_goes(build), "it was kept") if is_kept else _verdict(thing, every=every)
            leftover = Leftover(kind, name, build, why, thing.created)
            problem = _remove(engine, kind, thing.id) if goes else None
            if problem:
                leftover = Leftover(leftover.kind, leftover.name, leftover.build, problem, leftover.created)
            (removed if goes and not problem else kept).append(leftover)
    return Cleaning(tuple(removed), tuple(kept))


def _labelled(engine: Endpoint, kind: Kind) -> list[_Thing]:
    what = f"{engine.name} could not list its {kind}s"
    ids = ask(engine.command(kind, "ls", "--all", "--quiet", "--no-trunc", "--filter", f"label={OWNER}"), what).split()
    return _THINGS.validate_json(ask(engine.command(kind, "inspect", *dict.fromkeys(ids)), what)) if ids else []


def _verdict(thing: _Thing, *, every: bool) -> tuple[bool, str]:
    owner = Owner.parse(_label(thing, OWNER))
    if owner is None:
        return every, "its owner label is not understood"
    if owner.gone is None and thing.state.status == "exited":
        return True, "it has stopped, and no build stops its container"
    if owner.gone is None:
        return every, "its owner is another machine or container"
    return owner.gone, f"its owner, process {owner.pid}, {'is gone' if owner.gone else 'still runs'}"


def _remove(engine: Endpoint, kind: Kind, identity: str) -> str | None:
    """None, or why it could not be removed."""
    options = ["--force", "--volumes"] if kind == "container" else []
    try:
        ask(engine.command(kind, "rm", *options, identity), f"{engine.name} could not remove it")
    except EngineError as error:
        return error.message
    return None


def _label(thing: _Thing, name: str) -> str:
    return (thing.config.labels or {}).get(name, "")
