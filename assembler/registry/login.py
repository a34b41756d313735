"""Storing credentials where Docker would, so that Docker, podman and imgasm all find them."""

from __future__ import annotations

import base64
import json
import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assembler.atomic_files import replace_file
from assembler.errors import RegistryError, UsageError
from assembler.locks import exclusive_directory
from assembler.registry.auth_file import AuthFile, is_key_of
from assembler.registry.credential_helper import Helper, server_key
from assembler.registry.responses import Refused
from assembler.registry.wire import Call

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from assembler.registry.client import RegistryClient
    from assembler.registry.credentials import Credential


def check_login(client: RegistryClient) -> bool:
    """True when the registry took the client's credentials, False when it lets in anybody at its base URL, so that
    they could not be checked. Raises RegistryError when it refuses them."""
    reply = client.wire.request(Call("GET", client.wire.origin.url("/v2/")))
    if reply.status != 200:
        raise Refused(reply)
    return client.wire.is_authorized


def store(registry: str, credential: Credential, file: Path, environment: Mapping[str, str]) -> str:
    """Keeps a user name and password, or identity token. Gives the place for people: a helper's program or ``file``,
    where it stands unencrypted. ``environment`` is a helper's."""
    key = server_key(registry)
    with _changed(file) as document:
        helper = document.helper(registry, environment)
        if helper is not None:
            helper.store(registry, credential)
            document.auths[key] = {}  # as Docker does, so that the registry is listed
            place = helper.program
        else:
            document.auths[key] = _entry(credential)
            place = str(file)
    return place


def erase(registry: str, file: Path, environment: Mapping[str, str]) -> bool:
    """Forgets what :func:`store` keeps; False when nothing was known."""
    with _changed(file) as document:
        helper = document.helper(registry, environment)
        erased = helper is not None and helper.erase(registry)
        keys = [key for key in document.auths if is_key_of(key, registry)]
        for key in keys:
            del document.auths[key]
    return erased or bool(keys)


@contextmanager
def _changed(file: Path) -> Iterator[_Document]:
    """The document, which is written at the end if it changed. No other imgasm changes it meanwhile."""
    folder = Path(os.path.realpath(file)).parent
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with exclusive_directory(folder):
        document = _Document(file)
        before = dict(document.auths)
        yield document
        if document.auths != before:
            document.write()


class _Document:
    """A config.json of which only ``auths`` is touched."""

    def __init__(self, file: Path) -> None:
        # Where people keep it as a link into their dotfiles, it stays one.
        self._path = Path(os.path.realpath(file))
        try:
            text = self._path.read_bytes()
        except FileNotFoundError:
            text = b""
        except OSError as error:
            raise RegistryError(f"{file} can't be read: {error.strerror}") from error
        self._parsed = AuthFile.parse(str(file), text)
        self._content: dict[str, Any] = json.loads(text) if text.strip() else {}
        self.auths: dict[str, Any] = dict(self._parsed.auths)

    def helper(self, registry: str, environment: Mapping[str, str]) -> Helper | None:
        name = self._parsed.helper(registry) or self._parsed.store
        return Helper(name, environment) if name else None

    def write(self) -> None:
        """The whole file or nothing, and never readable by others in between."""
        text = json.dumps(self._content | {"auths": self.auths}, indent="\t") + "\n"
        replace_file(self._path, text.encode(), mode=0o600)


def _entry(credential: Credential) -> dict[str, str]:
    if credential.identity_token:
        return {"identitytoken": credential.identity_token}
    if ":" in credential.username or not credential.username:
        raise UsageError(f"{credential.username!r} can't be a user name: it must not be empty or hold a colon")
    pair = f"{credential.username}:{credential.password}"
    return {"auth": base64.b64encode(pair.encode()).decode()}
