"""What somebody signed about an image, whatever its form: the signed bytes, the signatures, and what they claim.

Three forms are in use. All of them say which digest they speak of; nothing is believed before a key has verified it.

    simple signing   cosign's and containers/image's: a JSON payload with the digest and the name that it was signed as
    DSSE envelope    an in-toto statement with a signature around it (github.com/secure-systems-lab/dsse, protocol.md)
    sigstore bundle  a DSSE envelope with the name of its key (sigstore/protobuf-specs, sigstore_bundle.proto, v0.3)
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from assembler.errors import ImageError
from assembler.image import strict_json
from assembler.model.descriptor import canonical_json
from assembler.model.digest import Digest

if TYPE_CHECKING:
    from assembler.model.reference import Reference
    from assembler.trust.keys import PrivateKey, PublicKey

SIMPLE_SIGNING: Final = "application/vnd.dev.cosign.simplesigning.v1+json"
ENVELOPE: Final = "application/vnd.dsse.envelope.v1+json"
BUNDLE: Final = "application/vnd.dev.sigstore.bundle.v0.3+json"
ANY_BUNDLE: Final = "application/vnd.dev.sigstore.bundle"
IN_TOTO: Final = "application/vnd.in-toto+json"

SIGNATURE: Final = "https://sigstore.dev/cosign/sign/v1"
"""The type of a claim that says no more than: this image is ours."""

PROVENANCE: Final = "https://slsa.dev/provenance/v1"
CYCLONEDX: Final = "https://cyclonedx.org/bom"
SPDX: Final = "https://spdx.dev/Document"

_STATEMENT: Final = "https://in-toto.io/Statement/v1"
_STATEMENTS: Final = (_STATEMENT, "https://in-toto.io/Statement/v0.1")
_SIMPLE_TYPE: Final = "cosign container image signature"


@dataclass(frozen=True, slots=True)
class Claim:
    """``digest`` is of the manifest or index that it is about, ``name`` what that is called; None if it is not said.

    ``kind`` is :data:`SIGNATURE`, or the predicate type of an attestation.
    """

    digest: Digest
    name: str | None
    kind: str


@dataclass(frozen=True, slots=True)
class Signed:
    """``claims`` may be believed if one of ``signatures`` is a key's over ``message`` (:meth:`is_by`)."""

    message: bytes = field(repr=False)
    signatures: tuple[bytes, ...] = field(repr=False)
    claims: tuple[Claim, ...]

    def is_by(self, key: PublicKey) -> bool:
        return any(key.verifies(self.message, signature) for signature in self.signatures)

    @classmethod
    def of_payload(cls, payload: bytes, signature: str) -> Signed:
        """Simple signing: ``signature`` is in base64. ImageError for what has not exactly the form of containers/image
        (signature/internal/sigstore_payload.go): what nobody expects there might mean something."""
        match strict_json.parse(payload, "a signature's payload").get("critical"):
            case {"type": str(kind), "image": {"docker-manifest-digest": str(digest), **image},
                  "identity": {"docker-reference": str(name), **identity}, **rest} if (
                kind == _SIMPLE_TYPE and not (image or identity or rest)
            ):  # fmt: skip
                return cls(payload, (_decoded(signature),), (Claim(Digest.parse(digest), name, SIGNATURE),))
        raise ImageError("a signature's payload has not the form of a cosign signature")

    @classmethod
    def of_envelope(cls, data: bytes) -> Signed:
        return cls._of_envelope(strict_json.parse(data, "an attestation"))

    @classmethod
    def of_bundle(cls, data: bytes) -> Signed:
        bundle = strict_json.parse(data, "a sigstore bundle")
        if not isinstance(envelope := bundle.get("dsseEnvelope"), dict):
            raise ImageError("a sigstore bundle holds no DSSE envelope")
        return cls._of_envelope(envelope)

    @classmethod
    def _of_envelope(cls, envelope: Mapping[str, Any]) -> Signed:
        match envelope:
            case {"payloadType": str(kind), "payload": str(text), "signatures": [*signatures]} if kind == IN_TOTO:
                payload = _decoded(text)
                return cls(_encoded_for_signing(payload), tuple(map(_signature, signatures)), _claims(payload))
        raise ImageError("an attestation is not a DSSE envelope with an in-toto statement")


def payload(digest: Digest, reference: Reference) -> bytes:
    """Simple signing. skopeo and podman accept it for ``reference`` alone unless their policy says otherwise."""
    return canonical_json({
        "critical": {
            "identity": {"docker-reference": str(reference)},
            "image": {"docker-manifest-digest": str(digest)},
            "type": _SIMPLE_TYPE,
        },
        "optional": {"creator": "imgasm"},
    })  # fmt: skip


def statement(digest: Digest, names: Sequence[str], kind: str, predicate: Mapping[str, Any]) -> bytes:
    """An in-toto statement about ``digest``, which is called each of ``names``."""
    subjects = [{"name": name, "digest": {digest.algorithm: digest.hex}} for name in names]
    return canonical_json({"_type": _STATEMENT, "subject": subjects, "predicateType": kind, "predicate": predicate})


def envelope(statement: bytes, key: PrivateKey) -> dict[str, Any]:
    signature = key.sign(_encoded_for_signing(statement))
    return {"payloadType": IN_TOTO, "payload": _text(statement), "signatures": [{"sig": _text(signature)}]}


def bundle(envelope: Mapping[str, Any], key: PublicKey) -> bytes:
    return canonical_json({
        "mediaType": BUNDLE,
        "verificationMaterial": {"publicKey": {"hint": key.hint}},
        "dsseEnvelope": envelope,
    })  # fmt: skip


def simple_signature(payload: bytes, key: PrivateKey) -> str:
    """What stands beside a payload of simple signing, in base64."""
    return _text(key.sign(payload))


def _claims(payload: bytes) -> tuple[Claim, ...]:
    match strict_json.parse(payload, "an in-toto statement"):
        case {"_type": str(type_), "subject": [*subjects], "predicateType": str(kind)} if type_ in _STATEMENTS:
            return tuple(Claim(digest, name, kind) for one in subjects for digest, name in _subject(one))
    raise ImageError("what an attestation holds is not an in-toto statement")


def _subject(subject: Any) -> Iterator[tuple[Digest, str | None]]:
    """Each digest of it that an image can have; git's commits, for one, have others."""
    match subject:
        case {"digest": {**digests}, **rest}:
            name = rest.get("name")
            for algorithm in digests.keys() & {"sha256", "sha512"}:
                yield Digest.parse(f"{algorithm}:{digests[algorithm]}"), name if isinstance(name, str) else None


def _signature(value: Any) -> bytes:
    match value:
        case {"sig": str(text)}:
            return _decoded(text)
    raise ImageError("an attestation has a signature without a value")


def _encoded_for_signing(payload: bytes) -> bytes:
    """DSSE's pre-authentication encoding, for statements of in-toto."""
    return b"DSSEv1 %d %s %d %s" % (len(IN_TOTO), IN_TOTO.encode(), len(payload), payload)


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ImageError("a signature is not valid base64") from error
