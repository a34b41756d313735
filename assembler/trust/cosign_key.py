"""A private key as ``cosign generate-key-pair`` writes it: PKCS #8 in a NaCl secretbox, whose key is made from a
password by scrypt (secure-systems-lab/go-securesystemslib, encrypted/encrypted.go)."""

from __future__ import annotations

import binascii
import hashlib
import re
from base64 import b64decode
from typing import Annotated, Final, Literal

from pydantic import BaseModel, BeforeValidator, Field, ValidationError

_PEM: Final = re.compile(
    rb"-----BEGIN ENCRYPTED (SIGSTORE|COSIGN) PRIVATE KEY-----\s(.*?)-----END ENCRYPTED \1 PRIVATE KEY-----", re.DOTALL
)
_MOST_MEMORY: Final = 1 << 30
"""Bytes that scrypt may take: the file says how much work it is, and may come from anywhere."""

_Base64 = Annotated[bytes, BeforeValidator(lambda text: b64decode(text, validate=True))]


class _Parameters(BaseModel):
    N: int = Field(gt=1, le=1 << 20)
    r: int = Field(gt=0, le=16)
    p: int = Field(gt=0, le=16)


class _Derivation(BaseModel):
    name: Literal["scrypt"]
    params: _Parameters
    salt: _Base64


class _Cipher(BaseModel):
    name: Literal["nacl/secretbox"]
    nonce: _Base64 = Field(min_length=24, max_length=24)


class _Encrypted(BaseModel):
    kdf: _Derivation
    cipher: _Cipher
    ciphertext: _Base64


def is_encrypted(pem: bytes) -> bool:
    return _PEM.search(pem) is not None


def decrypted(pem: bytes, password: str) -> bytes:
    """PKCS #8 in DER. ValueError for a wrong password, and for what is damaged."""
    from nacl.exceptions import CryptoError
    from nacl.secret import SecretBox

    found = _PEM.search(pem)
    assert found is not None
    try:
        box = _Encrypted.model_validate_json(b64decode(found[2]))
        work = box.kdf.params
        key = hashlib.scrypt(
            password.encode(), salt=box.kdf.salt, n=work.N, r=work.r, p=work.p, maxmem=_MOST_MEMORY, dklen=32
        )
        plain: bytes = SecretBox(key).decrypt(box.ciphertext, box.cipher.nonce)
    except (CryptoError, ValidationError, binascii.Error) as error:
        raise ValueError(str(error)) from error
    return plain
