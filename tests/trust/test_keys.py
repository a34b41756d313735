"""Keys in every form that people have them in. cosign's own encrypted form is cosign's to make: tests/machines."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as some

from assembler.errors import UsageError
from assembler.trust.cosign_key import decrypted
from assembler.trust.keys import PrivateKey, PublicKey
from tests.support.signing import write_keys

if TYPE_CHECKING:
    from pathlib import Path

COSIGN = b"""\
-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----
eyJrZGYiOnsibmFtZSI6InNjcnlwdCIsInBhcmFtcyI6eyJOIjo2NTUzNiwiciI6
OCwicCI6MX0sInNhbHQiOiJJV3FabGlJdGVqRUJLK25vTjhlY0Z1YytjdkhOVTJl
QTJOV0JQNktkbnBFPSJ9LCJjaXBoZXIiOnsibmFtZSI6Im5hY2wvc2VjcmV0Ym94
Iiwibm9uY2UiOiJkdTdGaWpxWHREbi9uVHo0WllwN3lMTGdzYTc5RDZ1TCJ9LCJj
aXBoZXJ0ZXh0IjoidWorZGRBTHFacTdCMUxYUzFzR3Z5azRBQkJubnpTWnJUbExJ
OFMwT1g3MUZVV1ovb1YvQlZVeEt4ZGdkYmY4KzJTVCs5Tm5jSEtxRHNtRmhPRkZE
YUxUYkpEUkFMczF0SEcrQXRJQU03NWJadmlPbDBwelRscFVoU2hVTndEZTRHRjNP
aFJwMTNKS2h1N3l5UTh4SkJVMGI2ZVdEZzBvMDJpSlNsdzgxNC9ZQnlrMW51dFho
a2xmWVdUdVRSbUVLc2xJWHRnL0RKYk9uK2c9PSJ9
-----END ENCRYPTED SIGSTORE PRIVATE KEY-----
"""
"""Made by cosign 2.5.0 for these tests; its password is `pass word`."""


def nobody() -> str:
    raise AssertionError("nobody should have been asked")


@pytest.mark.parametrize("password", [None, b"pass word"])
def test_openssl_verifies_what_a_key_signs(tmp_path: Path, password: bytes | None) -> None:
    write_keys(tmp_path, "own", password)
    key = PrivateKey.read(tmp_path / "own.key", nobody if password is None else password.decode)
    signature = key.sign(b"text")

    (tmp_path / "signature").write_bytes(signature)
    (tmp_path / "text").write_bytes(b"text")
    openssl = ["openssl", "dgst", "-sha256", "-verify", "own.pub", "-signature", "signature", "text"]
    assert subprocess.run(openssl, cwd=tmp_path, capture_output=True, check=True).stdout == b"Verified OK\n"
    assert key.sign(b"text") == signature
    public = PublicKey.read(tmp_path / "own.pub")
    assert public.verifies(b"text", signature) and not public.verifies(b"texts", signature)
    assert public.hint == key.public.hint


def test_a_key_of_cosign_needs_its_password(tmp_path: Path) -> None:
    (tmp_path / "cosign.key").write_bytes(COSIGN)
    key = PrivateKey.read(tmp_path / "cosign.key", lambda: "pass word")
    assert key.public.verifies(b"text", key.sign(b"text"))
    with pytest.raises(UsageError, match="the password is wrong"):
        PrivateKey.read(tmp_path / "cosign.key", lambda: "password")


def test_a_password_that_is_wrong_is_told(tmp_path: Path) -> None:
    write_keys(tmp_path, "own", b"pass word")
    with pytest.raises(UsageError, match="the password is wrong"):
        PrivateKey.read(tmp_path / "own.key", lambda: "password")


def test_keys_of_other_kinds_are_refused(tmp_path: Path) -> None:
    write_keys(tmp_path, "large", curve=ec.SECP384R1())
    with pytest.raises(UsageError, match="another kind"):
        PrivateKey.read(tmp_path / "large.key", nobody)
    with pytest.raises(UsageError, match="another kind"):
        PublicKey.read(tmp_path / "large.pub")
    with pytest.raises(UsageError, match="no public key"):
        PublicKey.read(tmp_path / "large.key")


@given(some.integers(0, 500), some.binary(min_size=1, max_size=5))
def test_a_damaged_key_of_cosign_is_an_error_and_no_crash(position: int, other: bytes) -> None:
    damaged = COSIGN[:60] + COSIGN[60 : 60 + position] + other + COSIGN[60 + position + len(other) :]
    try:
        decrypted(damaged, "pass word")
    except ValueError:
        pass
