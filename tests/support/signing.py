"""Keys to sign with, as OpenSSL would write them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

if TYPE_CHECKING:
    from pathlib import Path


def write_keys(
    directory: Path, name: str, password: bytes | None = None, curve: ec.EllipticCurve | None = None
) -> None:
    """NAME.key, PKCS #8, encrypted with ``password`` if there is one, and NAME.pub in ``directory``."""
    key = ec.generate_private_key(curve or ec.SECP256R1())
    encryption = NoEncryption() if password is None else BestAvailableEncryption(password)
    directory.mkdir(exist_ok=True)
    (directory / f"{name}.key").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption))
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    (directory / f"{name}.pub").write_bytes(public)
