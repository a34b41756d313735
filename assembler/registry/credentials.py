"""What proves to a registry who asks. Nothing here is ever printed: secrets are left out of every repr."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Credential:
    """A user name and password, or an identity token (for a token server), or a registry token (sent as it is)."""

    username: str = ""
    password: str = field(default="", repr=False)
    identity_token: str = field(default="", repr=False)
    registry_token: str = field(default="", repr=False)
    origin: str = ""
    """Where it was found, for people: a file, an environment variable, a helper's name."""
    stored: bool = False
    """It was kept under this registry's name: somebody has logged in there with it before."""

    @property
    def is_anonymous(self) -> bool:
        return not (self.username or self.password or self.identity_token or self.registry_token)

    @property
    def basic(self) -> str | None:
        """The value of an Authorization header; None without a password."""
        if not self.password:
            return None
        return "Basic " + base64.b64encode(f"{self.username}:{self.password}".encode()).decode()


ANONYMOUS = Credential(origin="nowhere")
