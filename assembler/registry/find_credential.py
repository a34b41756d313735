"""Where the credentials for a registry come from; the first place that has some wins, and nothing is merged.

    1. --authfile, and then nothing else
    2. IMGASM_USERNAME and IMGASM_PASSWORD         (only for the repository that is pushed to)
    3. REGISTRY_AUTH_FILE
    4. DOCKER_AUTH_CONFIG                          (the JSON itself)
    5. $DOCKER_CONFIG/config.json or ~/.docker/config.json
    6. podman's: $XDG_RUNTIME_DIR/containers/auth.json or /run/containers/<uid>/auth.json, then
       $XDG_CONFIG_HOME/containers/auth.json or ~/.config/containers/auth.json

In each file: ``credHelpers``, then (in Docker's own) ``credsStore``, then ``auths``; a helper that is named is not
replaced by an entry in ``auths``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from assembler.errors import RegistryError, UsageError
from assembler.registry.auth_file import AuthFile
from assembler.registry.credential_helper import Helper
from assembler.registry.credentials import ANONYMOUS, Credential

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping


@dataclass(frozen=True, slots=True)
class CredentialSources:
    """What the command line found in options and environment. ``environment`` is what helpers are run with.

    ``explicit`` names no registry, so it is shown to one only: the destination of a push, never a base's."""

    authfile: Path | None = None
    explicit: Credential | None = None
    registry_auth_file: Path | None = None
    docker_auth_config: str | None = field(default=None, repr=False)
    docker_config: Path | None = None
    podman_files: tuple[Path, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)

    @classmethod
    def from_environment(
        cls, environment: Mapping[str, str], home: Path, uid: int, authfile: Path | None = None
    ) -> CredentialSources:
        """Reads nothing but its arguments."""

        def path(variable: str) -> Path | None:
            value = environment.get(variable)
            return Path(value) if value else None

        username, password = environment.get("IMGASM_USERNAME", ""), environment.get("IMGASM_PASSWORD", "")
        runtime = path("XDG_RUNTIME_DIR")
        podman = runtime / "containers" if runtime else Path("/run/containers", str(uid))
        config = path("XDG_CONFIG_HOME") or home / ".config"
        return cls(
            authfile=authfile,
            explicit=Credential(username, password, origin="IMGASM_USERNAME") if username and password else None,
            registry_auth_file=path("REGISTRY_AUTH_FILE"),
            docker_auth_config=environment.get("DOCKER_AUTH_CONFIG") or None,
            docker_config=(path("DOCKER_CONFIG") or home / ".docker") / "config.json",
            podman_files=(podman / "auth.json", config / "containers" / "auth.json"),
            environment=environment,
        )


def find_credential(
    registry: str, repository: str, sources: CredentialSources, warn: Callable[[str], None], *, pushing: bool = False
) -> Credential:
    """``registry`` as a reference names it (``docker.io`` for the Hub); :data:`ANONYMOUS` when nobody knows any.
    ``pushing``: this repository is where a push goes."""
    if sources.authfile is not None:
        file = AuthFile.read(sources.authfile)
        if file is None:
            raise UsageError(f"The file {sources.authfile} is not there", hint="--authfile takes an auth.json.")
        return _ask(file, registry, repository, sources, warn) or ANONYMOUS
    if pushing and sources.explicit is not None:
        return sources.explicit
    for file in _files(sources, warn):
        credential = _ask(file, registry, repository, sources, warn)
        if credential is not None:
            return credential
    return ANONYMOUS


def _files(sources: CredentialSources, warn: Callable[[str], None]) -> Iterator[AuthFile]:
    """Those that are there, one by one; a broken one is passed over with a warning, for it may not concern us."""
    readers: list[Callable[[], AuthFile | None]] = []
    text = sources.docker_auth_config
    if text is not None:
        readers.append(lambda: AuthFile.parse("DOCKER_AUTH_CONFIG", text))
    paths = [sources.docker_config, *sources.podman_files]
    readers += [partial(AuthFile.read, path) for path in paths if path is not None]
    if sources.registry_auth_file is not None:
        readers.insert(0, partial(AuthFile.read, sources.registry_auth_file))
    for reader in readers:
        try:
            file = reader()
        except RegistryError as error:
            warn(f"{error.message}; it was ignored.")
            continue
        if file is not None:
            yield file


def _ask(
    file: AuthFile, registry: str, repository: str, sources: CredentialSources, warn: Callable[[str], None]
) -> Credential | None:
    is_dockers = sources.docker_config is not None and file.name == str(sources.docker_config)
    helper = file.helper(registry) or (file.store if is_dockers else "")
    if helper:
        return Helper(helper, sources.environment).get(registry)
    return file.find(registry, repository, warn)
