"""Who must have signed an image: containers-policy.json(5), as skopeo, podman and CRI-O read it.

Of its requirements imgasm can check ``insecureAcceptAnything``, ``reject`` and ``sigstoreSigned`` with keys. What it
can't check it refuses: GPG signatures, certificates and transparency logs.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from assembler.errors import FileError, ImgasmError, UsageError
from assembler.model.digest import Digest
from assembler.model.reference import Reference
from assembler.trust.keys import PublicKey
from assembler.trust.statement import SIGNATURE, Claim, Signed


@dataclass(frozen=True, slots=True)
class Asked:
    """Which manifest or index is to be trusted, what it was asked for by, and what was found signed beside it."""

    digest: Digest
    reference: Reference
    signed: Sequence[Signed]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class MatchRepoDigestOrExact(_Part):
    """The default. What is asked for by tag must be signed as exactly that: nobody can pass off an old image as new.

    Who asks for a digest says already which image is meant: a signature without a name, as cosign 3 makes it, is good.
    """

    type: Literal["matchRepoDigestOrExact"] = "matchRepoDigestOrExact"

    def accepts(self, signed: Reference | None, asked: Reference) -> bool:
        if asked.digest is None:
            return signed == asked
        return signed is None or signed.name == asked.name


class MatchExact(_Part):
    type: Literal["matchExact"]

    def accepts(self, signed: Reference | None, asked: Reference) -> bool:
        return signed == asked


class MatchRepository(_Part):
    type: Literal["matchRepository"]

    def accepts(self, signed: Reference | None, asked: Reference) -> bool:
        return signed is not None and signed.name == asked.name


class ExactReference(_Part):
    type: Literal["exactReference"]
    dockerReference: str

    def accepts(self, signed: Reference | None, asked: Reference) -> bool:
        return signed == Reference.parse(self.dockerReference)


class ExactRepository(_Part):
    type: Literal["exactRepository"]
    dockerRepository: str

    def accepts(self, signed: Reference | None, asked: Reference) -> bool:
        return signed is not None and signed.name == Reference.parse(self.dockerRepository).name


class RemapIdentity(_Part):
    """For mirrors: what is asked for below ``prefix`` must be signed as below ``signedPrefix``."""

    type: Literal["remapIdentity"]
    prefix: str
    signedPrefix: str

    def accepts(self, signed: Reference | None, asked: Reference) -> bool:
        text = str(asked)
        if text == self.prefix or text.startswith((f"{self.prefix}/", f"{self.prefix}:", f"{self.prefix}@")):
            asked = Reference.parse(self.signedPrefix + text[len(self.prefix) :])
        return MatchRepoDigestOrExact().accepts(signed, asked)


_Identity = Annotated[
    MatchRepoDigestOrExact | MatchExact | MatchRepository | ExactReference | ExactRepository | RemapIdentity,
    Field(discriminator="type"),
]


class AcceptAnything(_Part):
    type: Literal["insecureAcceptAnything"]

    def refusals(self, asked: Asked) -> Iterator[str]:
        yield from ()


class Reject(_Part):
    type: Literal["reject"]

    def refusals(self, asked: Asked) -> Iterator[str]:
        yield "the policy rejects it, whoever signed it"


class SignedBy(BaseModel):
    """With GPG's keys."""

    type: Literal["signedBy"]

    def refusals(self, asked: Asked) -> Iterator[str]:
        yield "the policy wants a GPG signature (signedBy), which imgasm can't check"


class SigstoreSigned(BaseModel):
    """Signed by any of the keys, for the manifest's digest, and for a name that ``signedIdentity`` accepts."""

    model_config = ConfigDict(extra="allow", frozen=True)

    type: Literal["sigstoreSigned"]
    keyPath: str | None = None
    keyPaths: tuple[str, ...] = ()
    keyData: str | None = None
    keyDatas: tuple[str, ...] = ()
    signedIdentity: _Identity = MatchRepoDigestOrExact()

    def refusals(self, asked: Asked) -> Iterator[str]:
        keys = self._keys()
        if self.model_extra:
            yield f"the policy wants {', '.join(self.model_extra)}, which imgasm can't check"
        elif not keys:
            yield "the policy names no key"
        else:
            yield from signature_refusals(keys, self.signedIdentity, asked)

    def _keys(self) -> list[PublicKey]:
        files = [*([self.keyPath] if self.keyPath else []), *self.keyPaths]
        texts = [*([self.keyData] if self.keyData else []), *self.keyDatas]
        return [*(PublicKey.read(Path(file)) for file in files),
                *(PublicKey.parse("the policy's key", base64.b64decode(text)) for text in texts)]  # fmt: skip


_Requirement = Annotated[AcceptAnything | Reject | SignedBy | SigstoreSigned, Field(discriminator="type")]


class Policy(_Part):
    default: tuple[_Requirement, ...] = Field(min_length=1)
    transports: Mapping[str, Mapping[str, Annotated[tuple[_Requirement, ...], Field(min_length=1)]]] = {}

    @classmethod
    def read(cls, path: Path) -> Policy:
        """UsageError for what is no policy: an unknown key could be one that forbids something."""
        try:
            return cls.model_validate_json(path.read_bytes())
        except OSError as error:
            raise FileError.of(error) from error
        except ValidationError as error:
            first = error.errors()[0]
            raise UsageError(f"{path}: {'.'.join(map(str, first['loc']))}: {first['msg']}",
                             hint="containers-policy.json(5) describes the file.") from error

    def refusals(self, asked: Asked) -> list[str]:
        """Why the image may not be used; nothing where every requirement of the narrowest scope is met."""
        scopes = self.transports.get("docker", {})
        found = next((scopes[scope] for scope in _scopes(asked.reference) if scope in scopes), self.default)
        return [refusal for one in found for refusal in one.refusals(asked)]


def signature_refusals(keys: Sequence[PublicKey], identity: _Identity, asked: Asked) -> Iterator[str]:
    """One sentence, if no signature by one of ``keys`` is good for what is asked for."""
    names = " or ".join(key.name for key in keys)
    own = _claims(keys, SIGNATURE, asked)
    about = [claim for claim in own if claim.digest == asked.digest]
    if not own:
        yield f"it has no signature by {names}"
    elif not about:
        yield f"the signature beside it by {names} is of another image, {_digests(own)}"
    elif not any(identity.accepts(signed, asked.reference) for signed in _names(claim.name for claim in about)):
        known = ", ".join(sorted({claim.name or "(no name)" for claim in about}))
        yield f"{names} signed it as {known}, not as {asked.reference}"


def attestation_refusals(keys: Sequence[PublicKey], kind: str, asked: Asked) -> Iterator[str]:
    """One sentence, if there is no attestation by one of ``keys`` of the predicate type ``kind`` about the image."""
    names = " or ".join(key.name for key in keys)
    own = _claims(keys, kind, asked)
    if not own:
        yield f"it has no attestation {kind} by {names}"
    elif not any(claim.digest == asked.digest for claim in own):
        yield f"the attestation {kind} beside it by {names} is about another image, {_digests(own)}"


def _claims(keys: Sequence[PublicKey], kind: str, asked: Asked) -> list[Claim]:
    """What may be believed, whatever it is about."""
    return [claim for one in asked.signed if any(map(one.is_by, keys)) for claim in one.claims if claim.kind == kind]


def _digests(claims: Sequence[Claim]) -> str:
    return ", ".join(sorted({str(claim.digest) for claim in claims}))


def _names(texts: Iterator[str | None]) -> Iterator[Reference | None]:
    """None where no name was signed. What is no name of an image is good for none."""
    for text in texts:
        try:
            yield None if text is None else Reference.parse(text)
        except ImgasmError:
            pass


def _scopes(reference: Reference) -> Iterator[str]:
    """From the narrowest to the widest, as containers/image looks for them."""
    yield str(reference)
    path = reference.name
    while "/" in path:
        yield path
        path = path.rpartition("/")[0]
    yield path
    host = path.partition(":")[0]
    while "." in host:
        host = host.partition(".")[2]
        yield f"*.{host}"
    yield ""
