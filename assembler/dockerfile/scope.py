"""What holds at one place of a stage: variables, directory, user, shell; and what its image's config will say."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Final

from assembler.dockerfile.draft import Draft
from assembler.dockerfile.instructions import Instruction
from assembler.dockerfile.verdict import Verdict
from assembler.dockerfile.words import expanded

USUAL_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
SHELL: Final = ("/bin/sh", "-c")
_ROOT: Final = PurePosixPath("/")


@dataclass(slots=True)
class Scope:
    """``args`` and ``env`` are texts of the recipe: ``{{ name }}`` for an ARG. ``config`` are keys of
    [[image]]."""

    args: dict[str, str] = field(default_factory=dict)
    env: dict[str, str] = field(default_factory=dict)
    workdir: PurePosixPath = _ROOT
    user: str = ""
    shell: tuple[str, ...] = SHELL
    has_cmd: bool = False
    """Whether this stage itself has said CMD."""
    config: dict[str, Any] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        """What a RUN finds here."""
        return self.args | self.env

    def path(self, text: str) -> PurePosixPath:
        """Below the working directory, without dots."""
        parts: list[str] = []
        for part in (self.workdir / text).parts[1:]:
            parts = parts[:-1] if part == ".." else [*parts, part]
        return PurePosixPath("/", *parts)


@dataclass(frozen=True, slots=True)
class Here:
    """One instruction where it stands; ``context`` is the directory that COPY reads."""

    instruction: Instruction
    scope: Scope
    draft: Draft
    verdict: Verdict
    context: Path

    def changed(self, text: str) -> None:
        self.verdict.changed(self.instruction.line, text)

    def todo(self, text: str) -> None:
        self.verdict.todo(self.instruction.line, text)

    def expanded(self, text: str) -> str:
        """With Docker's variables replaced as they are here."""
        return expanded(text, self._known)

    def flag(self, name: str) -> str:
        return self.expanded(self.instruction.flag(name) or "")

    @property
    def owner(self) -> str:
        """What --chown says, as chown(1) takes it; a number alone is the group's as well."""
        owner = self.flag("--chown")
        if not owner or ":" in owner:
            return owner
        return f"{owner}:{owner}" if owner.isdecimal() else f"{owner}:"

    def _known(self, name: str, needed: bool) -> str | None:
        if name in self.scope.environment:
            return self.scope.environment[name]
        if name == "PATH":
            self.changed(f"the base's PATH is taken to be {USUAL_PATH}")
            return USUAL_PATH
        if needed:
            self.todo(f"${name} is empty here, unless the base's image sets it")
        return None
