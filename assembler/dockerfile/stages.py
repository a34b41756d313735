"""The stages of a Dockerfile, and what each stands on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from assembler.dockerfile.instructions import Instruction
from assembler.errors import UsageError


@dataclass(slots=True)
class Stage:
    """``image`` is what its FROM names, variables as they are written; ``parent`` the stage that this is, if it is one.
    ``name`` is unique, made from the number where the FROM gives none."""

    name: str
    image: str
    parent: Stage | None
    opening: Instruction
    instructions: list[Instruction] = field(default_factory=list)

    def chain(self) -> list[Instruction]:
        """What leads to this stage's end, from the first FROM on: that of each stage is in it."""
        before = self.parent.chain() if self.parent else []
        return [*before, self.opening, *self.instructions]

    @property
    def root(self) -> Stage:
        return self.parent.root if self.parent else self


def stages(instructions: Sequence[Instruction]) -> tuple[list[Instruction], list[Stage]]:
    """The ARGs before the first FROM, and all stages. Raises UsageError where none begins."""
    found: list[Stage] = []
    before: list[Instruction] = []
    for instruction in instructions:
        if instruction.keyword == "FROM":
            found.append(_opened(instruction, found))
        elif found:
            found[-1].instructions.append(instruction)
        elif instruction.keyword == "ARG":
            before.append(instruction)
        else:
            raise UsageError(f"line {instruction.line}: {instruction.keyword} stands before the first FROM",
                             hint="A Dockerfile begins with FROM, or with ARGs for it.")  # fmt: skip
    if not found:
        raise UsageError("the Dockerfile has no FROM", hint="A Dockerfile begins with FROM, or with ARGs for it.")
    return before, found


def stage_named(name: str, known: Sequence[Stage]) -> Stage | None:
    """As COPY --from and FROM name one: by its name, or by its number."""
    if name.isdecimal():
        return known[int(name)] if int(name) < len(known) else None
    return next((stage for stage in reversed(known) if stage.name.lower() == name.lower()), None)


def _opened(opening: Instruction, known: list[Stage]) -> Stage:
    image, *rest = opening.value.split()
    named = rest[1] if len(rest) == 2 and rest[0].upper() == "AS" else f"stage{len(known)}"
    return Stage(named, image, None if image.isdecimal() else stage_named(image, known), opening)
