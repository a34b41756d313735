"""Docker's config.json and podman's auth.json: who may be asked for the credentials of a registry.

Both have one shape (``auths``, ``credHelpers``, ``credsStore``) and differ in which parts they heed; the rules are
those of docker/cli ``configfile`` and containers/image ``pkg/docker/config``.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from assembler.errors import RegistryError
from assembler.model.reference import DOCKER_HUB
from assembler.registry.credentials import Credential

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

HUB_KEY: Final = "https://index.docker.io/v1/"
_HUB_HOSTS: Final = frozenset({"docker.io", "index.docker.io", "registry-1.docker.io"})
_SIZE_CAP: Final = 4 * 1024 * 1024


class _Entry(BaseModel):
    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True)

    auth: str = ""
    username: str = ""
    password: str = ""
    identitytoken: str = ""
    registrytoken: str = ""


class _Document(BaseModel):
    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True)

    auths: dict[str, Any] | None = None
    helpers: dict[str, str] | None = Field(None, alias="credHelpers")
    store: str | None = Field(None, alias="credsStore")


@dataclass(frozen=True, slots=True)
class AuthFile:
    """``name`` is how messages call it."""

    name: str
    auths: dict[str, Any]
    helpers: dict[str, str]
    store: str

    @classmethod
    def parse(cls, name: str, text: bytes | str) -> AuthFile:
        """An empty text is an empty file. Nothing of the text appears in the error: it holds secrets."""
        if not text.strip():
            return cls(name, {}, {}, "")
        try:
            document = _Document.model_validate_json(text)
        except ValidationError as error:
            raise RegistryError(f"{name} is not a Docker config or auth file in JSON",
                                hint="Repair it, or log in again with `imgasm login`.") from error
        return cls(name, document.auths or {}, document.helpers or {}, document.store or "")

    @classmethod
    def read(cls, path: Path) -> AuthFile | None:
        """None when there is no such file."""
        try:
            with path.open("rb") as file:
                return cls.parse(str(path), file.read(_SIZE_CAP))
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise RegistryError(f"{path} can't be read: {error.strerror}") from error

    def helper(self, registry: str) -> str:
        """The name of the helper that keeps this registry's credentials; empty when no entry names one."""
        for key, name in self.helpers.items():
            if host_of(key) == registry:
                return name
        return ""

    def find(self, registry: str, repository: str, warn: Callable[[str], None]) -> Credential | None:
        """The entry of ``auths`` with the longest matching path, else the one for the host. Empty entries are normal:
        Docker leaves them where a helper has the secret."""
        for key in self._keys(registry, repository):
            try:
                credential = _credential(self.auths[key], f"{self.name} ({key})")
            except ValueError:
                warn(f"{self.name}: the entry for {key} is malformed and was ignored.")
                continue
            if not credential.is_anonymous:
                return credential
        return None

    def _keys(self, registry: str, repository: str) -> Iterator[str]:
        path = f"{registry}/{repository}".rstrip("/")
        while path:
            if path in self.auths:
                yield path
            path = path.rpartition("/")[0]
        yield from (key for key in self.auths if key != registry and is_key_of(key, registry))


def host_of(key: str) -> str:
    """The registry that a key means, as a reference names it: keys may be hosts, or URLs with /v1/ behind."""
    host = _bare(key).partition("/")[0]
    return DOCKER_HUB if host in _HUB_HOSTS else host


def is_key_of(key: str, registry: str) -> bool:
    """Whether an entry under ``key`` is for the whole registry, and not for one of its namespaces."""
    return "/" not in _bare(key) and host_of(key) == registry


def _bare(key: str) -> str:
    text = key.removeprefix("https://").removeprefix("http://").rstrip("/")
    return text.removesuffix("/v1").removesuffix("/v2")


def _credential(value: Any, origin: str) -> Credential:
    """Raises ValueError; pydantic's error is one, and shows no input."""
    entry = _Entry.model_validate(value or {})
    username, password = entry.username, entry.password
    if entry.auth:
        username, password = _decode(entry.auth)
    return Credential(username, password, entry.identitytoken, entry.registrytoken, origin, stored=True)


def _decode(auth: str) -> tuple[str, str]:
    try:
        text = base64.b64decode(auth, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        raise ValueError("not base64 of UTF-8") from None
    username, colon, password = text.rstrip("\0").partition(":")
    if not colon or not username:
        raise ValueError("not user:password")
    return username, password
