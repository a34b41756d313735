"""Image references as people write them: ``[registry[:port]/]repository[:tag][@digest]``.

The grammar and the docker.io defaults are those of distribution's ``reference`` package, which every engine shares.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Final

from assembler.errors import UsageError
from assembler.model.digest import Digest

DOCKER_HUB: Final = "docker.io"

_LABEL: Final = r"[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?"
_DOMAIN: Final = re.compile(rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[0-9a-fA-F:]+\])(?::[0-9]+)?")
_COMPONENT: Final = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REPOSITORY: Final = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*")
_TAG: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")


@dataclass(frozen=True, slots=True)
class Reference:
    """``registry`` is ``host[:port]``; ``tag`` and ``digest`` may both be absent, or both be there."""

    registry: str
    repository: str
    tag: str | None = None
    digest: Digest | None = None

    @classmethod
    def parse(cls, text: str) -> Reference:
        """Reads what people write; ``debian`` is ``docker.io/library/debian``. No default tag is added here."""
        rest, at, digest_text = text.partition("@")
        digest = Digest.parse(digest_text) if at else None
        head, slash, tail = rest.partition("/")
        is_domain = slash and ("." in head or ":" in head or head == "localhost" or head != head.lower())
        registry, path = (head, tail) if is_domain else (DOCKER_HUB, rest)
        if registry in ("index.docker.io", "registry-1.docker.io"):
            registry = DOCKER_HUB
        path, colon, tag = path.partition(":")
        if registry == DOCKER_HUB and "/" not in path:
            path = f"library/{path}"
        reference = cls(registry, path, tag if colon else None, digest)
        reference._check(text)
        return reference

    def _check(self, text: str) -> None:
        hint = "A reference looks like registry.example.com:5000/team/image:tag, in lower case but for the tag."
        if not _DOMAIN.fullmatch(self.registry):
            raise UsageError(f"{text!r} names no valid registry host: {self.registry!r}", hint=hint)
        if len(self.repository) > 255 or not _REPOSITORY.fullmatch(self.repository):
            raise UsageError(f"{text!r} is not an image reference: {self.repository!r} is not a repository name",
                             hint=hint)  # fmt: skip
        if self.tag is not None and not _TAG.fullmatch(self.tag):
            raise UsageError(f"{text!r} is not an image reference: {self.tag!r} is not a tag", hint=hint)

    @property
    def name(self) -> str:
        """Registry and repository, without tag and digest."""
        return f"{self.registry}/{self.repository}"

    @property
    def identifier(self) -> str:
        """What a registry is asked for: the digest where there is one, else the tag, else ``latest``."""
        return str(self.digest) if self.digest else self.tag or "latest"

    def with_default_tag(self) -> Reference:
        return self if self.tag or self.digest else replace(self, tag="latest")

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        digest = f"@{self.digest}" if self.digest else ""
        return f"{self.name}{tag}{digest}"
