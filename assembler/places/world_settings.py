"""What a world is made from: plain data, which another process or another machine can get."""

from __future__ import annotations

import os
import pwd
import re
import shlex
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from assembler.errors import UsageError
from assembler.model.engines import ENGINES, NAMES
from assembler.model.platform import Platform
from assembler.registry.connection_settings import ConnectionSettings, Tls
from assembler.registry.find_credential import CredentialSources
from assembler.registry.retry import RetryPolicy

if TYPE_CHECKING:
    from collections.abc import Mapping

    from assembler.model.engines import EngineName
    from assembler.registry.retry import Clock

_PASSWORD: Final = re.compile(r"://[^/@]*:[^/@]*@")


@dataclass(frozen=True, slots=True)
class WorldSettings:
    """All of it can be pickled. It may hold passwords, which ``repr`` does not show.

    ``environment``  the variables that imgasm reads, usually ``os.environ``, of which a copy is kept: see the README
                     for their names. What the engines' clients and credential helpers read is theirs to know
    ``cache``        a directory for fetched sources, bases and temporary blobs, made if need be;
                     by default IMGASM_CACHE, else the user's (XDG base directories)
    ``engine``       ``docker``, ``podman`` or ``host``; by default IMGASM_ENGINE, else the first one that answers
    ``authfile``     registry credentials in the form of Docker's config.json; no other place is then asked
    ``tls``          certificates for registries
    ``plain_http``   whether registries are met without TLS; by default only those on loopback are
    ``retry_for``    seconds that pauses may take in all, until a server that fails is given up
    ``platform``     what this machine runs
    """

    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    cache: Path | None = None
    engine: EngineName | None = None
    authfile: Path | None = None
    tls: Tls = field(default_factory=Tls)
    plain_http: bool | None = None
    retry_for: float = RetryPolicy().patience
    platform: Platform = field(default_factory=lambda: Platform.of_machine(os.uname().machine))

    def __post_init__(self) -> None:
        object.__setattr__(self, "environment", dict(self.environment))  # os.environ itself can't be pickled

    @property
    def home(self) -> Path:
        """The user's home directory: HOME, else what the system's users say."""
        return Path(self.environment.get("HOME") or pwd.getpwuid(os.getuid()).pw_dir)

    @property
    def cache_folder(self) -> Path:
        if self.cache is not None:
            return self.cache
        chosen, folder = self.environment.get("IMGASM_CACHE"), self.environment.get("XDG_CACHE_HOME", "")
        if chosen:
            return Path(chosen)
        return (Path(folder) if os.path.isabs(folder) else self.home / ".cache") / "imgasm"

    @property
    def credentials(self) -> CredentialSources:
        return CredentialSources.from_environment(self.environment, self.home, os.getuid(), self.authfile)

    def connection(self, clock: Clock) -> ConnectionSettings:
        return ConnectionSettings(clock, self.tls, self.plain_http, retry=RetryPolicy(self.retry_for))

    def engine_name(self) -> EngineName | None:
        """None for the first that answers. UsageError where IMGASM_ENGINE names no engine."""
        name = self.engine or self.environment.get("IMGASM_ENGINE") or None
        for known in NAMES:
            if name == known:
                return known
        if name is None:
            return None
        raise UsageError(f"IMGASM_ENGINE is {name!r}", hint=f"It must be {' or '.join(NAMES)}.")

    def engine_options(self, name: EngineName) -> list[str]:
        """Options for the engine's own client, before its command: ``IMGASM_PODMAN_OPTIONS="--runtime runc"``.

        UsageError where a quote is not closed.
        """
        variable = f"IMGASM_{name.upper()}_OPTIONS"
        try:
            return shlex.split(self.environment.get(variable, ""))
        except ValueError as error:
            raise UsageError(f"{variable} can't be read: {error}", hint="Quote it as in a shell.") from error

    def engine_hosts(self) -> dict[EngineName, str]:
        """Which variable says where an engine is, as ``DOCKER_HOST=tcp://host:2375``, without a password in it."""
        return {
            engine: _PASSWORD.sub("://", f"{name}={self.environment[name]}")
            for engine, known in ENGINES.items()
            for name in reversed(known.variables)
            if self.environment.get(name)
        }

    def source_date_epoch(self) -> int | None:
        """Seconds since 1970 (reproducible-builds.org, SOURCE_DATE_EPOCH). UsageError where it is not a number."""
        text = self.environment.get("SOURCE_DATE_EPOCH", "")
        if not text:
            return None
        if not text.isdecimal():
            raise UsageError(f"SOURCE_DATE_EPOCH is {text!r}", hint="It must be a number of seconds since 1970.")
        return int(text)
