"""containers-policy.json(5): which requirement counts, and which names a signature is good for."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import pytest

from assembler.errors import UsageError
from assembler.model.digest import Digest
from assembler.model.reference import Reference
from assembler.trust.keys import PrivateKey
from assembler.trust.policy import Asked, Policy
from assembler.trust.statement import Signed, payload, simple_signature
from tests.support.signing import write_keys

if TYPE_CHECKING:
    from pathlib import Path

DIGEST = Digest.of(b"a manifest")
ACCEPT, REJECT = [{"type": "insecureAcceptAnything"}], [{"type": "reject"}]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_keys(tmp_path, "own")
    return tmp_path


def refusals(folder: Path, policy: dict[str, Any], asked: str, signed_as: str) -> list[str]:
    (folder / "policy.json").write_text(json.dumps(policy))
    key, said = PrivateKey.read(folder / "own.key", str), payload(DIGEST, Reference.parse(signed_as))
    signed = [Signed.of_payload(said, simple_signature(said, key))]
    return Policy.read(folder / "policy.json").refusals(Asked(DIGEST, Reference.parse(asked), signed))


def wanting(folder: Path, **identity: str) -> dict[str, Any]:
    own = {"type": "sigstoreSigned", "keyPath": str(folder / "own.pub")}
    return {"default": [own | ({"signedIdentity": identity} if identity else {})]}


@pytest.mark.parametrize(("identity", "asked", "signed_as", "accepted"), [
    ({}, "r.io/a/b:1", "r.io/a/b:1", True),
    ({}, "r.io/a/b:1", "r.io/a/b:2", False),
    ({}, "r.io/a/b:1", "r.io/a/b", False),
    ({}, f"r.io/a/b@{DIGEST}", "r.io/a/b:2", True),
    ({}, f"r.io/a/b@{DIGEST}", "r.io/a/c:2", False),
    ({"type": "matchExact"}, "r.io/a/b:1", "r.io/a/b:1", True),
    ({"type": "matchExact"}, f"r.io/a/b@{DIGEST}", "r.io/a/b:1", False),
    ({"type": "matchRepository"}, "r.io/a/b:1", "r.io/a/b:2", True),
    ({"type": "matchRepository"}, "r.io/a/b:1", "r.io/a/c:1", False),
    ({"type": "exactReference", "dockerReference": "r.io/a/b:3"}, "r.io/a/b:1", "r.io/a/b:3", True),
    ({"type": "exactReference", "dockerReference": "r.io/a/b:3"}, "r.io/a/b:1", "r.io/a/b:1", False),
    ({"type": "exactRepository", "dockerRepository": "r.io/a/b"}, "m.io/b:1", "r.io/a/b:3", True),
    ({"type": "exactRepository", "dockerRepository": "r.io/a/b"}, "m.io/b:1", "m.io/b:1", False),
    ({"type": "remapIdentity", "prefix": "m.io/x", "signedPrefix": "r.io/a"}, "m.io/x/b:1", "r.io/a/b:1", True),
    ({"type": "remapIdentity", "prefix": "m.io/x", "signedPrefix": "r.io/a"}, "m.io/xb:1", "r.io/ab:1", False),
    ({"type": "remapIdentity", "prefix": "m.io/x", "signedPrefix": "r.io/a"}, "m.io/xb:1", "m.io/xb:1", True),
])  # fmt: skip
def test_a_signature_is_good_for_the_names_that_the_policy_says(
    folder: Path, identity: dict[str, str], asked: str, signed_as: str, accepted: bool
) -> None:
    assert (refusals(folder, wanting(folder, **identity), asked, signed_as) == []) is accepted


@pytest.mark.parametrize(("scope", "counts"), [
    ("r.example.io/a/b:1", True), ("r.example.io/a/b", True), ("r.example.io/a", True), ("r.example.io", True),
    ("*.example.io", True), ("*.io", True), ("", True), ("r.example.io/a/b:2", False), ("r.example.io/a/bc", False),
    ("r.example", False), ("*.r.example.io", False),
])  # fmt: skip
def test_the_narrowest_scope_counts(folder: Path, scope: str, counts: bool) -> None:
    policy = {"default": REJECT, "transports": {"docker": {scope: ACCEPT}}}
    name = "r.example.io/a/b:1"
    assert (refusals(folder, policy, name, name) == []) is counts


def test_every_requirement_must_be_met(folder: Path) -> None:
    name = "r.io/a:1"
    both = {"default": [*wanting(folder)["default"], *REJECT]}
    assert refusals(folder, both, name, name) == ["the policy rejects it, whoever signed it"]


@pytest.mark.parametrize(("requirement", "told"), [
    ({"type": "signedBy", "keyType": "GPGKeys", "keyPath": "/k"}, "signedBy"),
    ({"type": "sigstoreSigned", "fulcio": {}}, "fulcio"),
    ({"type": "sigstoreSigned"}, "names no key"),
])  # fmt: skip
def test_what_can_not_be_checked_is_refused(folder: Path, requirement: dict[str, Any], told: str) -> None:
    (refusal,) = refusals(folder, {"default": [requirement]}, "r.io/a:1", "r.io/a:1")
    assert told in refusal


def test_a_key_can_stand_in_the_policy(folder: Path) -> None:
    text = base64.b64encode((folder / "own.pub").read_bytes()).decode()
    policy = {"default": [{"type": "sigstoreSigned", "keyDatas": [text]}]}
    assert refusals(folder, policy, "r.io/a:1", "r.io/a:1") == []


@pytest.mark.parametrize("policy", [
    {}, {"default": []}, {"default": ACCEPT, "more": 1}, {"default": [{"type": "hope"}]},
    {"default": ACCEPT, "transports": {"docker": {"r.io": []}}}, {"default": [{"type": "reject", "unless": "signed"}]},
])  # fmt: skip
def test_what_is_no_policy_is_refused(folder: Path, policy: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=r"policy\.json"):
        refusals(folder, policy, "r.io/a:1", "r.io/a:1")
