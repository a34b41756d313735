"""Making one container, and making sure that it goes away again."""

from __future__ import annotations

import subprocess
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Thread
from typing import TYPE_CHECKING, BinaryIO, Final

from assembler.engine.client_process import ask
from assembler.engine.owner_labels import labels
from assembler.engine.refusal import explain, refusals
from assembler.model.container import Container
from assembler.model.secrets import Secrets

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path, PurePosixPath

    from assembler.engine.endpoint import Endpoint
    from assembler.model.platform import Platform

SLEEPER: Final = 'trap "exit 0" TERM; while :; do sleep 3600 & wait $!; done'
"""Keeps the container alive. It ends at once on TERM, and as process 1 it reaps what steps leave behind."""

KEPT: Final = "imgasm-kept-"
"""How the names of containers begin that stay for a look inside, and to be gone on with."""

_REMOVAL_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True)
class Bind:
    """``host``, a file or directory of the engine's machine, is seen at ``path`` in the container."""

    host: Path
    path: PurePosixPath
    read_only: bool = True


@dataclass(frozen=True, slots=True)
class ContainerSpec:
    """``image`` is an id or reference that the engine has; ``build`` names this build in labels and container names.

    ``platform`` is what the image's programs are for, None where that is not known.

    ``secrets`` may be in the environment of what runs in the container, and nowhere else. ``in_memory`` is a directory
    that is on no disk.
    """

    image: str
    build: str
    container: Container = field(default_factory=Container)
    platform: Platform | None = None
    binds: tuple[Bind, ...] = ()
    secrets: Secrets = field(default_factory=Secrets)
    in_memory: PurePosixPath | None = None
    caches: Mapping[PurePosixPath, str] = field(default_factory=dict)
    """Volumes that stay, by where they are mounted."""

    @property
    def name(self) -> str:
        return f"imgasm-{self.build}"


def create(engine: Endpoint, spec: ContainerSpec, user: str | None) -> None:
    """Creates the container without starting it. Process 1 has the build's id as an argument, to be known by.

    ``user`` is the image's own, None for root: steps are root's. Root is named only where it must be, because for a
    user by number podman writes /etc/group if it is missing.
    """
    what = f"{engine.name} could not create the container"
    # Docker copies what its image has into each volume before it answers: there is no time by which that must be done.
    options = _options(engine, spec, user)
    ask(engine.command("container", "create", *options, spec.image, "-c", SLEEPER, "imgasm", spec.build), what,
        timeout=None)


def _options(engine: Endpoint, spec: ContainerSpec, user: str | None) -> Iterator[str]:
    """python-on-whales has no ``--image-volume``; without it podman would hide the files below the base's VOLUMEs."""
    yield from ("--name", spec.name, "--entrypoint", "/bin/sh", "--workdir", "/", "--no-healthcheck")
    if engine.name == "podman":
        yield from ("--image-volume", "ignore")
    wanted = spec.container
    if wanted.privileged:
        yield "--privileged"
    if network := wanted.network or _default_network(engine):
        yield from ("--network", network)
    if user:
        yield from ("--user", "0")
    mounts = (",".join(fields) for fields in (
        *map(_scratch, wanted.scratch), *map(_bind, spec.binds),
        *([*_scratch(path), f"source={volume}"] for path, volume in spec.caches.items()),
    ))  # fmt: skip
    if spec.in_memory is not None:
        yield from ("--mount", f"type=tmpfs,{_field('destination', spec.in_memory)},tmpfs-mode=0711")
    many = {
        "--cap-add": wanted.cap_add, "--security-opt": wanted.security_opt, "--device": wanted.devices,
        "--mount": mounts, "--label": (f"{key}={value}" for key, value in labels(spec.build).items()),
    }  # fmt: skip
    for option, values in many.items():
        for value in values:
            yield from (option, value)


def create_idle(engine: Endpoint, image: str, name: str, its_labels: Mapping[str, str]) -> None:
    """A container that is never started: ``true`` need not exist."""
    with refusals(f"{engine.name} could not create a container of {image}"):
        engine.client.container.create(image, ["true"], name=name, labels=its_labels, networks=["none"])


def start(engine: Endpoint, name: str) -> None:
    ask(engine.command("container", "start", name), f"{engine.name} could not start the container", timeout=None)


@dataclass(slots=True)
class Lifetime:
    """``stays`` says whether the container ``name`` stays when its time is over."""

    name: str
    stays: bool = False


@contextmanager
def lifetime(engine: Endpoint, name: str, warn: Callable[[str], object], *, stays: bool = False) -> Iterator[Lifetime]:
    """Whatever happens inside, the container ``name`` and its anonymous volumes are removed afterwards, if they do not
    stay.

    Trouble with the removal never changes how the inside ended: it is told to ``warn``, or becomes a note on the
    exception.
    """
    life = Lifetime(name, stays)
    try:
        yield life
    except BaseException as error:
        problem = None if life.stays else _remove(engine, life.name)
        if problem is not None:
            error.add_note(problem)
        raise
    problem = None if life.stays else _remove(engine, life.name)
    if problem is not None:
        warn(problem)


def keep(engine: Endpoint, life: Lifetime, build: str) -> None:
    """Lets the container stay, under the name that says so: ``imgasm clean`` then knows that nobody forgot it."""
    name = kept_name(build)
    if life.name != name:
        ask(engine.command("container", "rename", life.name, name), f"{engine.name} could not keep the container")
    life.name, life.stays = name, True


def kept_name(build: str) -> str:
    return f"{KEPT}{build}"


def wake(engine: Endpoint, name: str) -> None:
    """Starts a kept container that its engine has stopped since, and lets one go on that was left paused."""
    what = f"{engine.name} has no container {name} to go on in"
    status = ask(engine.command("container", "inspect", "--format", "{{.State.Status}}", name), what).strip()
    if status != "running":
        ask(engine.command("container", "unpause" if status == "paused" else "start", name), what)


@contextmanager
def export_image(engine: Endpoint, image: str, build: str, warn: Callable[[str], object]) -> Iterator[BinaryIO]:
    """A tar stream of the whole rootfs of ``image``, out of a container that never ran."""
    name = f"imgasm-{build}-base"
    with lifetime(engine, name, warn):
        create_idle(engine, image, name, labels(build))
        with engine.export(name) as stream:
            yield stream


def _remove(engine: Endpoint, name: str) -> str | None:
    """Bounded in time. A second Ctrl-C ends the waiting, not the removal: it is a process of another session."""
    clean = "imgasm clean removes what stays"
    try:
        remover = subprocess.Popen(engine.command("container", "rm", "--force", "--volumes", name),
                                   start_new_session=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                   stderr=subprocess.PIPE)  # fmt: skip
        _, stderr = remover.communicate(timeout=_REMOVAL_SECONDS)
    except subprocess.TimeoutExpired:
        Thread(target=remover.communicate, name="imgasm-removal", daemon=True).start()  # it goes on, and is reaped
        return f"{engine.name} still removes the container {name} after {_REMOVAL_SECONDS:.0f} s; {clean}"
    except OSError as error:
        return f"{engine.name} could not be asked to remove the container {name} ({error.strerror}); {clean}"
    text = stderr.decode(errors="replace")
    if remover.returncode == 0 or "no such container" in text.lower() or "no container with" in text.lower():
        return None
    refused = explain(f"{engine.name} could not remove the container {name}", text)
    return f"{refused.message}; {clean}"


def _default_network(engine: Endpoint) -> str | None:
    """A dockerd without a bridge gives containers no network at all; a build nearly always needs one."""
    if engine.name == "podman":
        return None
    bridge = ask(engine.command("network", "ls", "--quiet", "--filter", "name=^bridge$"),
                 "docker could not list its networks")
    return None if bridge.strip() else "host"


def _scratch(path: PurePosixPath) -> list[str]:
    return ["type=volume", _field("target", path)]


def _bind(bind: Bind) -> list[str]:
    options = ["type=bind", _field("source", bind.host), _field("target", bind.path)]
    return [*options, "readonly"] if bind.read_only else options


def _field(key: str, value: Path | PurePosixPath) -> str:
    """``--mount`` is one line of CSV for both engines."""
    text = f"{key}={value}"
    return '"' + text.replace('"', '""') + '"' if any(character in text for character in ',"\n') else text
