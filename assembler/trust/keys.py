"""Keys that sign and verify: ECDSA over P-256 with SHA-256, which every verifier of container signatures knows.

`cryptography` and `pynacl` come with the extra ``imgasm[sign]``; they are imported when a key is read.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from assembler.errors import FileError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric import ec

_CAP: Final = 64 * 1024
_KIND: Final = "Signatures are made and checked with ECDSA keys on the curve P-256 (PEM)."
_MAKE: Final = f"{_KIND} `cosign generate-key-pair` makes one."


@dataclass(frozen=True, slots=True)
class PublicKey:
    """``name`` is for people: the file that it was read from."""

    name: str
    key: ec.EllipticCurvePublicKey = field(repr=False)

    @classmethod
    def parse(cls, name: str, pem: bytes) -> PublicKey:
        """UsageError for everything but a public P-256 key in PEM."""
        _require_extra()
        from cryptography.hazmat.primitives.asymmetric import ec
        from cryptography.hazmat.primitives.serialization import load_pem_public_key

        try:
            key = load_pem_public_key(pem)
        except ValueError as error:
            raise UsageError(f"{name} is no public key", hint=_KIND) from error
        if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
            raise UsageError(f"{name} is a key of another kind", hint=_KIND)
        return cls(name, key)

    @classmethod
    def read(cls, path: Path) -> PublicKey:
        return cls.parse(str(path), _read(path))

    @property
    def hint(self) -> str:
        """What a sigstore bundle names the key by, as cosign does."""
        from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

        der = self.key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        return base64.b64encode(hashlib.sha256(der).digest()).decode()

    def verifies(self, message: bytes, signature: bytes) -> bool:
        """Whether ``signature``, ASN.1 in DER, is this key's over ``message``."""
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import ec

        try:
            self.key.verify(signature, message, ec.ECDSA(hashes.SHA256()))
        except InvalidSignature:
            return False
        return True


@dataclass(frozen=True, slots=True)
class PrivateKey:
    key: ec.EllipticCurvePrivateKey = field(repr=False)

    @classmethod
    def read(cls, path: Path, password: Callable[[], str]) -> PrivateKey:
        """A key in PEM: cosign's encrypted form, or PKCS #8, encrypted or not. ``password`` is asked when it is needed.

        UsageError for another kind of key, and for a wrong password.
        """
        _require_extra()
        from cryptography.hazmat.primitives.asymmetric import ec
        from cryptography.hazmat.primitives.serialization import load_der_private_key, load_pem_private_key

        from assembler.trust.cosign_key import decrypted, is_encrypted

        pem = _read(path)
        try:
            if is_encrypted(pem):
                key = load_der_private_key(decrypted(pem, password()), None)
            else:
                try:
                    key = load_pem_private_key(pem, None)
                except TypeError:  # it is encrypted
                    key = load_pem_private_key(pem, password().encode())
        except ValueError as error:
            raise UsageError(f"{path} is no private key, or the password is wrong", hint=_MAKE) from error
        if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
            raise UsageError(f"{path} is a key of another kind", hint=_MAKE)
        return cls(key)

    @property
    def public(self) -> PublicKey:
        return PublicKey("the signing key", self.key.public_key())

    def sign(self, message: bytes) -> bytes:
        """ASN.1 in DER. The same message has the same signature (RFC 6979): signed again, an image stays as it is."""
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import ec

        return self.key.sign(message, ec.ECDSA(hashes.SHA256(), deterministic_signing=True))


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_CAP)
    except OSError as error:
        raise FileError.of(error) from error


def _require_extra() -> None:
    try:
        import cryptography
        import nacl  # noqa: F401
    except ImportError as error:
        raise UsageError(f"signatures need the Python package {error.name}",
                         hint="Install it with: pip install 'imgasm[sign]'") from error
    assert cryptography
