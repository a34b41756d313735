"""This machine as an engine: no daemon, no image store, no client. What it needs is util-linux.

A step runs as root with Docker's capabilities, in mount, process, IPC and host name namespaces; there is no seccomp
filter and no limit of memory. Why not bubblewrap: it mounts everything nosuid and nodev, sets no_new_privs and knows
one user, so that steps with ``user``, sudo or file capabilities would find another world than in Docker. Why not runc:
what is killed leaves cgroups behind.
"""

from __future__ import annotations

import os
import warnings
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from assembler.engine.container import KEPT, SLEEPER, kept_name
from assembler.engine.host import namespaces
from assembler.engine.host.capabilities import capabilities_of
from assembler.engine.host.clean import BASES, CONTAINERS
from assembler.engine.host.container import HostContainer, started
from assembler.engine.host.plan import PLAN, Mount, Plan
from assembler.engine.host.unpacked_bases import UnpackedBases
from assembler.engine.info import EngineInfo
from assembler.engine.leftovers import Cleaning, Leftover
from assembler.engine.session import Aside, Session
from assembler.errors import EngineError, UsageError
from assembler.locks import work_directory
from assembler.model.platform import Platform

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from assembler.engine.container import ContainerSpec
    from assembler.model.engines import EngineName

_FILES: Final = {"/etc/resolv.conf": "/etc/resolv.conf", "/etc/hosts": "/etc/hosts", "/etc/hostname": None}
"""Files of the container's own that are no part of its rootfs, as in other engines, and what they are copies of."""

_HOSTNAME: Final = "imgasm\n"
_NETWORKS: Final = (None, "host", "none")


class HostEngine:
    """``folder`` is where bases, containers and caches lie. EngineError where nothing can run here."""

    def __init__(self, folder: Path) -> None:
        namespaces.check()
        here = os.uname()
        self.info = EngineInfo("host", here.release, "overlay", folder, rootless=os.geteuid() != 0, local=True,
                               platform=Platform.of_machine(here.machine))  # fmt: skip
        self.images = UnpackedBases(folder / BASES)

    @property
    def name(self) -> EngineName:
        return self.info.name

    @property
    def disk(self) -> Path:
        return self.info.root

    @contextmanager
    def session(self, spec: ContainerSpec, *, warn: Callable[[str], object] = warnings.warn) -> Iterator[Session]:
        with work_directory(self._containers) as work, self._started(work.path, spec) as container:
            yield self._prepared(container, spec, None, warn)

    @contextmanager
    def session_again(
        self, spec: ContainerSpec, former: Aside, *, warn: Callable[[str], object] = warnings.warn
    ) -> Iterator[Session]:
        """The container has the spec that it was made with."""
        with self.woken(kept_name(spec.build)) as container:
            yield self._prepared(container, spec, former, warn)

    @contextmanager
    def woken(self, name: str) -> Iterator[HostContainer]:
        folder = self._containers / name
        try:
            plan = Plan.from_json((folder / PLAN).read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise EngineError(f"host has no container {name} to go on in") from None
        with self.images.using(Path(plan.lower).parent.name), started(folder, plan, self.info, stays=True) as container:
            yield container

    def remove_leftovers(self, kept_goes: Callable[[str], bool], *, every: bool = False) -> Cleaning:
        """Kept containers. What killed builds left is the cache's: their processes and mounts went with them."""
        removed: list[Leftover] = []
        kept: list[Leftover] = []
        for folder in sorted(self._containers.glob(f"{KEPT}*")):
            build = folder.name.removeprefix(KEPT)
            made = datetime.fromtimestamp(folder.stat().st_mtime, UTC)
            leftover = Leftover("container", folder.name, build, "it was kept", made)
            if goes := kept_goes(build):
                namespaces.remove(folder)
            (removed if goes else kept).append(leftover)
        return Cleaning(tuple(removed), tuple(kept))

    @property
    def _containers(self) -> Path:
        return self.info.root / CONTAINERS

    @contextmanager
    def _started(self, folder: Path, spec: ContainerSpec) -> Iterator[HostContainer]:
        with self.images.using(spec.image) as (files, env):
            plan = self._plan(spec, files, env)
            _make_folder(folder, plan)
            with started(folder, plan, self.info) as container:
                yield container

    def _prepared(
        self, container: HostContainer, spec: ContainerSpec, former: Aside | None, warn: Callable[[str], object]
    ) -> Session:
        session = Session(container, spec, warn)
        session.prepare((), former)
        return session

    def _plan(self, spec: ContainerSpec, lower: Path, env: dict[str, str]) -> Plan:
        wanted = spec.container
        _refuse_what_is_not_here(spec)
        scratch = (Mount(f"volumes/{spec.build}-{number}", str(path)) for number, path in enumerate(wanted.scratch))
        caches = (Mount(str(self.info.root / "caches" / name), str(path)) for path, name in spec.caches.items())
        binds = (Mount(str(bind.host), str(bind.path), bind.read_only) for bind in spec.binds)
        return Plan(
            build=spec.build,
            lower=str(lower),
            sleeper=(SLEEPER, "imgasm", spec.build),
            env=env,
            capabilities=capabilities_of(wanted),
            privileged=wanted.privileged,
            own_network=wanted.network == "none",
            in_memory=str(spec.in_memory) if spec.in_memory is not None else None,
            files=tuple(Mount(f"files{path}", path) for path in _FILES),
            volumes=(*scratch, *caches),
            binds=tuple(binds),
            devices=tuple(map(_device, wanted.devices)),
        )


def _refuse_what_is_not_here(spec: ContainerSpec) -> None:
    wanted = spec.container
    if wanted.network not in _NETWORKS:
        raise UsageError(f"the engine host has no network {wanted.network}",
                         hint='Set [container] network to "host" or "none", or build with docker or podman.')
    if tight := [option for option in wanted.security_opt if not option.endswith(("=unconfined", "=disable"))]:
        raise UsageError(f"the engine host has no security option {tight[0]}", hint="Build with docker or podman.")


def _device(told: str) -> Mount:
    """As ``--device`` has it: on the machine, in the container, and permissions, which are the file's here."""
    host, _, rest = told.partition(":")
    path = rest.partition(":")[0]
    return Mount(host, path if path.startswith("/") else host)


def _make_folder(folder: Path, plan: Plan) -> None:
    for directory in (plan.root, plan.upper, plan.work, *(volume.host for volume in plan.volumes)):
        (folder / directory).mkdir(parents=True, exist_ok=True)
    for path, original in _FILES.items():
        copy = folder / f"files{path}"
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(_bytes(original) if original is not None else _HOSTNAME.encode())
    (folder / PLAN).write_text(plan.to_json(), encoding="utf-8")


def _bytes(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except FileNotFoundError:
        return b""
