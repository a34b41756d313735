"""Where the values of a recipe's secrets come from, and how steps get them."""

from __future__ import annotations

import subprocess
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final

from assembler.engine.container import Bind
from assembler.engine.secret_files import secret_files
from assembler.errors import RecipeError, UsageError
from assembler.model.secrets import SHORTEST, Secrets
from assembler.recipe.secret_inputs import MOUNT

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from assembler.engine.running import Running
    from assembler.engine.step import Command
    from assembler.places.world import World
    from assembler.recipe.recipe import Recipe
    from assembler.recipe.secret_inputs import SecretInput
    from assembler.recipe.steps import Step

_AGENT: Final = "SSH_AUTH_SOCK"
_SOCKET: Final = PurePosixPath("/run/imgasm-ssh-agent.sock")


@dataclass(frozen=True, slots=True)
class SecretValues:
    """``agent`` is the socket of this user's SSH agent, if a step wants it."""

    values: Mapping[SecretInput, bytes] = field(default_factory=dict, repr=False)
    agent: Path | None = None

    @classmethod
    def of(cls, recipe: Recipe, world: World) -> SecretValues:
        """Reads them all. UsageError for one that can't be had; RecipeError for one that could not be hidden."""
        environment = world.settings.environment
        values = {secret: _read(secret, environment) for secret in recipe.secret_inputs}
        for secret, value in values.items():
            if len(value.strip()) < SHORTEST:
                raise RecipeError(f"secret {secret.name} has fewer than {SHORTEST} characters, too few to be hidden",
                                  hint="Give it a longer value.")
        return cls(values, _agent(environment) if any(step.ssh for step in recipe.steps) else None)

    def hidden_in(self, recipe: Recipe) -> Recipe:
        """``recipe`` that masks these, too."""
        texts = (value.decode(errors="replace").rstrip("\n") for value in self.values.values())
        return replace(recipe, secrets=Secrets(recipe.secrets.values.union(texts)))

    @property
    def directory(self) -> PurePosixPath | None:
        """Where files of them are in the container."""
        return MOUNT if any(secret.variable is None for secret in self.values) else None

    @property
    def binds(self) -> tuple[Bind, ...]:
        return (Bind(self.agent, _SOCKET),) if self.agent is not None else ()

    @contextmanager
    def given_to(self, step: Step, command: Command, container: Running) -> Iterator[Command]:
        """``command``, which runs ``step``, with the variables that it gets; its files are there meanwhile."""
        mine = {secret: value for secret, value in self.values.items() if secret.is_for(step.name)}
        files = {MOUNT / secret.name: value for secret, value in mine.items() if secret.variable is None}
        variables = {secret.variable: value.decode(errors="replace").rstrip("\n")
                     for secret, value in mine.items() if secret.variable is not None}  # fmt: skip
        agent = {_AGENT: str(_SOCKET)} if step.ssh else {}
        with secret_files(container, files, step.user):
            yield replace(command, env={**command.env, **agent},
                          hidden_env={**command.hidden_env, **variables})  # fmt: skip


def _read(secret: SecretInput, environment: Mapping[str, str]) -> bytes:
    if secret.env is not None:
        if secret.env not in environment:
            raise UsageError(f"secret {secret.name}: the environment has no variable {secret.env}", hint="Set it.")
        return environment[secret.env].encode()
    try:
        if secret.file is not None:
            return secret.file.read_bytes()
        assert secret.command is not None
        done = subprocess.run(secret.command, stdout=subprocess.PIPE, check=False, env=dict(environment))
    except OSError as error:
        raise UsageError(f"secret {secret.name} can't be read: {error.filename}: {error.strerror}") from error
    if done.returncode:
        raise UsageError(f"secret {secret.name}: {secret.command[0]} ended with status {done.returncode}",
                         hint="Run the command by itself to see why.")
    return done.stdout.removesuffix(b"\n")


def _agent(environment: Mapping[str, str]) -> Path:
    path = environment.get(_AGENT)
    if not path or not Path(path).is_socket():
        raise UsageError(f"a step has ssh = true, and {_AGENT} names no SSH agent",
                         hint="Start one: eval $(ssh-agent); ssh-add")
    return Path(path)
