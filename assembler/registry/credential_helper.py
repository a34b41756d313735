"""Credential helpers: programs named docker-credential-<name> (docker-credential-helpers' protocol)."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from typing import TYPE_CHECKING, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from assembler.errors import RegistryError
from assembler.model.reference import DOCKER_HUB
from assembler.registry.auth_file import HUB_KEY
from assembler.registry.credentials import Credential
from assembler.registry.responses import excerpt

if TYPE_CHECKING:
    from collections.abc import Mapping

_NAME: Final = re.compile(r"[A-Za-z0-9_.-]+")
_NOT_FOUND: Final = "credentials not found in native keychain"
_TIMEOUT: Final = 30.0
_TOKEN_USER: Final = "<token>"


class _Answer(BaseModel):
    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True)

    username: str = Field("", alias="Username")
    secret: str = Field("", alias="Secret")


class Helper:
    """``name`` comes from a file and names a program, so it is checked; ``environment`` is the program's."""

    def __init__(self, name: str, environment: Mapping[str, str]) -> None:
        if not _NAME.fullmatch(name):
            raise RegistryError(f"{name[:50]!r} is not the name of a credential helper")
        self.program = f"docker-credential-{name}"
        self._environment = environment

    def get(self, registry: str) -> Credential | None:
        """None when the helper knows nothing of this registry."""
        done = self._run("get", server_key(registry))
        if done.returncode != 0:
            if done.stdout.decode(errors="replace").strip() == _NOT_FOUND:
                return None
            raise self._failed("get", done)
        try:
            answer = _Answer.model_validate_json(done.stdout)
        except ValidationError as error:
            raise RegistryError(f"{self.program} did not answer as a credential helper does") from error
        if answer.username == _TOKEN_USER:
            return Credential(identity_token=answer.secret, origin=self.program, stored=True)
        return Credential(answer.username, answer.secret, origin=self.program, stored=True)

    def store(self, registry: str, credential: Credential) -> None:
        username, secret = credential.username, credential.password
        if credential.identity_token:
            username, secret = _TOKEN_USER, credential.identity_token
        message = json.dumps({"ServerURL": server_key(registry), "Username": username, "Secret": secret})
        done = self._run("store", message)
        if done.returncode != 0:
            raise self._failed("store", done)

    def erase(self, registry: str) -> bool:
        """False when the helper knew nothing of this registry."""
        known = self.get(registry) is not None
        done = self._run("erase", server_key(registry))
        if known and done.returncode != 0:
            raise self._failed("erase", done)
        return known

    def _run(self, verb: str, text: str) -> subprocess.CompletedProcess[bytes]:
        program = shutil.which(self.program, path=self._environment.get("PATH", ""))
        if program is None:
            raise RegistryError(f"The credential helper {self.program} is not installed",
                                hint="Install it, or take its name out of credHelpers and credsStore.")
        try:
            return subprocess.run([program, verb], input=text.encode(), capture_output=True, timeout=_TIMEOUT,
                                  env=dict(self._environment), check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise RegistryError(f"{self.program} {verb} gave no answer in {_TIMEOUT:.0f} s") from error

    def _failed(self, verb: str, done: subprocess.CompletedProcess[bytes]) -> RegistryError:
        said = excerpt((done.stdout or done.stderr).decode(errors="replace"))
        return RegistryError(f"{self.program} {verb} failed with status {done.returncode}: {said}")


def server_key(registry: str) -> str:
    """What a helper knows the registry as."""
    return HUB_KEY if registry == DOCKER_HUB else registry
