"""[[secret]]: what some steps need to know, and nobody else ever gets to read."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Annotated, Final

from pydantic import Field

from assembler.recipe.problems import Problems
from assembler.recipe.rows import Row
from assembler.recipe.table import Table
from assembler.recipe.values import FileName, Text, VariableName

MOUNT: Final = PurePosixPath("/run/secrets")


class SecretTable(Table):
    """A value that some steps can read while they run: it is in no layer, checkpoint, record, report or log."""

    name: FileName = Field(description="Steps find the value in the file /run/secrets/<name>, which is in memory only.")
    env: VariableName | None = Field(default=None, description="The environment variable of imgasm's that has it.")
    file: Text | None = Field(default=None, description="The file that has it, relative to the recipe.")
    command: Annotated[list[Text], Field(min_length=1)] | None = Field(
        default=None, description='A command of this machine that prints it: ["pass", "show", "key"].')
    variable: VariableName | None = Field(
        default=None, description="Steps find the value in this environment variable instead of a file.")
    steps: list[Text] = Field(default=[], description="The names of the steps that get it; by default all do.")


@dataclass(frozen=True, slots=True)
class SecretInput:
    """Exactly one of ``env``, ``file`` and ``command`` is set. ``steps`` is empty for all steps."""

    name: str
    env: str | None = None
    file: Path | None = None
    command: tuple[str, ...] | None = None
    variable: str | None = None
    steps: tuple[str, ...] = ()

    def is_for(self, step: str) -> bool:
        return not self.steps or step in self.steps


def check(tables: Sequence[SecretTable], steps: Collection[str], problems: Problems) -> None:
    problems.unique((("secret", number, "name"), secret.name) for number, secret in enumerate(tables))
    for number, secret in enumerate(tables):
        if sum(origin is not None for origin in (secret.env, secret.file, secret.command)) != 1:
            problems.add(("secret", number), f'"{secret.name}" needs one origin: env, file or command')
        for position, step in enumerate(secret.steps):
            if step not in steps:
                problems.add(("secret", number, "steps", position), f'there is no step "{step}"')


def resolve(table: SecretTable, folder: Path) -> SecretInput:
    return table.into(
        SecretInput,
        file=(folder / table.file).resolve() if table.file is not None else None,
        command=tuple(table.command) if table.command is not None else None,
    )


def row(secret: SecretInput) -> Row:
    program = f"command {secret.command[0]}" if secret.command else ""
    origin = f"variable {secret.env}" if secret.env else program or str(secret.file)
    place = f"in ${secret.variable}" if secret.variable else f"at {MOUNT / secret.name}"
    return secret.name, f"from {origin}, {place} for {', '.join(secret.steps) or 'all steps'}"
