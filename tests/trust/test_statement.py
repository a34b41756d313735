"""What is signed, read back: nothing is believed that has not exactly the right form, and no bytes end in a crash."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from assembler.errors import ImageError
from assembler.model.digest import Digest
from assembler.model.reference import Reference
from assembler.trust.keys import PrivateKey
from assembler.trust.statement import SIGNATURE, Claim, Signed, bundle, envelope, payload, simple_signature, statement
from tests.support.signing import write_keys

if TYPE_CHECKING:
    from collections.abc import Callable

DIGEST = Digest.of(b"a manifest")
NAME = Reference.parse("registry.example/team/app:v1")
KIND = "https://slsa.dev/provenance/v1"


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> tuple[PrivateKey, PrivateKey]:
    directory = tmp_path_factory.mktemp("keys")
    for name in ("own", "other"):
        write_keys(directory, name)
    return tuple(PrivateKey.read(Path(directory, f"{name}.key"), str) for name in ("own", "other"))  # type: ignore[return-value]


def test_each_form_says_what_was_signed_and_by_whom(keys: tuple[PrivateKey, PrivateKey]) -> None:
    own, other = keys
    said, stated = payload(DIGEST, NAME), statement(DIGEST, [str(NAME)], KIND, {"buildDefinition": {}})
    simple = Signed.of_payload(said, simple_signature(said, own))
    enveloped = Signed.of_envelope(json.dumps(envelope(stated, own)).encode())
    bundled = Signed.of_bundle(bundle(envelope(stated, own), own.public))

    assert simple.claims == (Claim(DIGEST, str(NAME), SIGNATURE),)
    assert enveloped.claims == bundled.claims == (Claim(DIGEST, str(NAME), KIND),)
    for signed in (simple, enveloped, bundled):
        assert signed.is_by(own.public) and not signed.is_by(other.public)


def test_a_statement_that_was_changed_is_by_nobody(keys: tuple[PrivateKey, PrivateKey]) -> None:
    own, _ = keys
    signed = envelope(statement(DIGEST, [str(NAME)], KIND, {}), own)
    other = envelope(statement(Digest.of(b"another"), [str(NAME)], KIND, {}), own)
    changed = other | {"signatures": signed["signatures"]}
    assert not Signed.of_envelope(json.dumps(changed).encode()).is_by(own.public)


def critical(**other: Any) -> dict[str, Any]:
    return json.loads(payload(DIGEST, NAME))["critical"] | other


@pytest.mark.parametrize("said", [
    {}, {"critical": None}, {"critical": critical(type="atomic container signature")},
    {"critical": critical(more="than is known")}, {"critical": critical(image={})},
    {"critical": critical(image={"docker-manifest-digest": "latest"})},
    {"critical": critical(identity={"docker-reference": 5})},
    {"critical": critical(identity={"docker-reference": "a", "and": "b"})},
])  # fmt: skip
def test_a_payload_of_another_form_is_refused(said: dict[str, Any]) -> None:
    with pytest.raises(ImageError):
        Signed.of_payload(json.dumps(said).encode(), "")


_JSON = some.recursive(
    some.none() | some.booleans() | some.integers() | some.text() | some.sampled_from(["e30=", "sha256:0", KIND]),
    lambda inner: some.lists(inner, max_size=3) | some.dictionaries(some.sampled_from([
        "critical", "type", "image", "identity", "payload", "payloadType", "signatures", "sig", "dsseEnvelope",
        "subject", "digest", "sha256", "name", "_type", "predicateType",
    ]), inner, max_size=5),
    max_leaves=10,
)  # fmt: skip


@pytest.mark.parametrize("read", [
    lambda data: Signed.of_payload(data, "e30="), Signed.of_envelope, Signed.of_bundle,
])  # fmt: skip
@settings(max_examples=40)
@given(data=some.binary(max_size=50) | _JSON.map(lambda value: json.dumps(value).encode()))
def test_anything_else_is_an_error(read: Callable[[bytes], Signed], data: bytes) -> None:
    with pytest.raises(ImageError):
        read(data)
