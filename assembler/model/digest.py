"""Content digests (image-spec descriptor.md, "Digests")."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import BinaryIO, Final

from assembler.errors import ImageError

_FORM: Final = re.compile(r"(sha256):([a-f0-9]{64})|(sha512):([a-f0-9]{128})")


@dataclass(frozen=True, slots=True, order=True)
class Digest:
    """``algorithm:hex``, checked before it can become part of a path or URL (CVE-2024-3727)."""

    algorithm: str
    hex: str

    @classmethod
    def parse(cls, text: str) -> Digest:
        match = _FORM.fullmatch(text)
        if match is None:
            raise ImageError(f"{text[:100]!r} is not a digest; expected sha256: and 64 lower-case hex digits")
        algorithm, _, hexadecimal = text.partition(":")
        return cls(algorithm, hexadecimal)

    @classmethod
    def of(cls, data: bytes) -> Digest:
        return cls("sha256", hashlib.sha256(data).hexdigest())

    @classmethod
    def of_file(cls, stream: BinaryIO, algorithm: str = "sha256") -> Digest:
        digest = hashlib.new(algorithm)
        while chunk := stream.read(1 << 20):
            digest.update(chunk)
        return cls(algorithm, digest.hexdigest())

    @property
    def short(self) -> str:
        """Twelve hex digits: enough for a person to tell two digests apart."""
        return self.hex[:12]

    def __str__(self) -> str:
        return f"{self.algorithm}:{self.hex}"
