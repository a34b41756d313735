"""Options about keys: those that sign, and those that are trusted."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from assembler.cli.ask import ask
from assembler.errors import UsageError

if TYPE_CHECKING:
    from assembler.commands.verify_signatures import Trusted
    from assembler.trust.keys import PrivateKey

PRIVATE_KEY = (
    "A private key (ECDSA P-256, PEM), as `cosign generate-key-pair` makes it. COSIGN_PASSWORD, or else the terminal, "
    "is asked for its password."
)


SignOption = Annotated[
    Path | None,
    typer.Option("--sign", metavar="KEY", exists=True, dir_okay=False,
                 help=f"Sign what is pushed, each image and the index, before its tags are set. {PRIVATE_KEY}"),
]


@dataclass(frozen=True)
class Trusting:
    """Who must have signed what is checked."""

    signed_by: Annotated[
        list[Path] | None,
        typer.Option("--signed-by", metavar="KEY", exists=True, dir_okay=False,
                     help="Demand a signature of the image, under the name that is asked for, which this public key "
                     "(ECDSA P-256, PEM) verifies. Can be repeated: one of the keys must."),
    ] = None  # fmt: skip
    attested: Annotated[
        list[str] | None,
        typer.Option("--attested", metavar="TYPE", help="Demand an attestation by one of these keys as well: "
                     "slsaprovenance1, cyclonedx, spdx, or the URL of a predicate type. Can be repeated."),
    ] = None  # fmt: skip
    policy: Annotated[
        Path | None,
        typer.Option("--policy", metavar="FILE", exists=True, dir_okay=False,
                     help="Demand what a containers-policy.json(5) says, as skopeo and podman do."),
    ] = None  # fmt: skip

    def __post_init__(self) -> None:
        if self.attested and not self.signed_by:
            raise UsageError("--attested needs a key: anybody can attest anything", hint="Give it with --signed-by.")

    def trusted(self) -> Trusted | None:
        """None where nobody is demanded."""
        if not (self.signed_by or self.policy):
            return None
        from assembler.commands.verify_signatures import KINDS, Trusted
        from assembler.trust.keys import PublicKey
        from assembler.trust.policy import Policy

        return Trusted(
            tuple(map(PublicKey.read, self.signed_by or ())),
            None if self.policy is None else Policy.read(self.policy),
            tuple(KINDS.get(kind, kind) for kind in self.attested or ()),
        )


def read_private_key(path: Path) -> PrivateKey:
    from assembler.trust.keys import PrivateKey

    return PrivateKey.read(path, _password)


def _password() -> str:
    known = os.environ.get("COSIGN_PASSWORD")
    return known if known is not None else ask("Password of the key", hint="Set COSIGN_PASSWORD.", hidden=True)
