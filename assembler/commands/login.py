"""``imgasm login`` and ``logout``: credentials are tried first, and kept where Docker would keep them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from assembler.registry.client import connect
from assembler.registry.login import check_login, erase, store
from assembler.registry.responses import Refused
from assembler.registry.tokens import NoToken

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from assembler.progress import Progress
    from assembler.registry.connection_settings import ConnectionSettings
    from assembler.registry.credentials import Credential


@dataclass(frozen=True, slots=True)
class Vault:
    """``file`` is a config.json; ``environment`` is what the helpers that it names are run with."""

    file: Path
    environment: Mapping[str, str]


def login(
    registry: str, credential: Credential, vault: Vault, settings: ConnectionSettings, progress: Progress
) -> str:
    """Gives the place where they are kept now, for people. Nothing is kept that the registry refuses."""
    with connect(registry, credential, settings, progress.warn) as client:
        try:
            checked = check_login(client)
        except (Refused, NoToken) as error:
            if isinstance(error, NoToken) or error.status in (401, 403):
                error.hint = "Nothing was stored. Check the user name and the password or token."
            raise
    if not checked:
        progress.warn(f"{registry} lets in anyone at its base URL, so the password could not be checked.")
    return store(registry, credential, vault.file, vault.environment)


def logout(registry: str, vault: Vault) -> bool:
    """False when nothing was known."""
    return erase(registry, vault.file, vault.environment)
