"""Builds whose containers stay: what has to be known to go on in them, in a folder that all builds of a user share.

    BUILD.json   what is known of one
    BUILD.lock   locked by whoever works in its container; nobody waits for it, so it can be removed
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pydantic import TypeAdapter, ValidationError

from assembler.atomic_files import replace_file
from assembler.commands.capture_container import Way
from assembler.engine.container import kept_name
from assembler.errors import UsageError
from assembler.locks import attempt
from assembler.model.engines import EngineName
from assembler.model.inputs import Inputs
from assembler.model.step_usage import Measurements

if TYPE_CHECKING:
    from collections.abc import Iterator

_HINT: Final = "imgasm build --on-failure keep RECIPE keeps the container of a build that fails."


@dataclass(frozen=True, slots=True)
class Given:
    """Values for a recipe's variables as the command line has them; of what is secret only where it comes from."""

    pairs: tuple[str, ...] = ()
    variables: tuple[str, ...] = ()
    files: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class KeptBuild:
    """A build that can be gone on with. ``recipe``, ``output`` and ``engine_root`` are absolute paths.

    ``done`` counts the steps that have ended well; ``failed`` names the one that did not. ``inputs`` is what all this
    came from. ``entered`` says that somebody was in the container by hand. ``volumes`` and ``copied`` are what
    :class:`assembler.engine.session.Aside` has, with paths as Latin-1 reads their bytes: JSON has no others.
    """

    build: str
    recipe: str
    given: Given
    output: str
    engine: EngineName
    engine_root: str
    way: Way
    created: str | None
    inspect_base: bool
    may_refuse: bool
    inputs: Inputs
    done: int
    failed: str | None
    measured: Measurements
    volumes: tuple[str, ...] = ()
    copied: dict[str, int] = field(default_factory=dict)
    entered: bool = False

    @property
    def container(self) -> str:
        return kept_name(self.build)


_ADAPTER: Final = TypeAdapter(KeptBuild)


class KeptBuilds:
    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def save(self, kept: KeptBuild) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        replace_file(self._path(kept.build), _ADAPTER.dump_json(kept), mode=0o600)

    def find(self, name: str) -> KeptBuild:
        """The kept build of this id, or of the container of this name. UsageError for none."""
        build = name.removeprefix(kept_name(""))
        path = self._path(build)
        try:
            return _ADAPTER.validate_json(path.read_bytes())
        except FileNotFoundError:
            others = ", ".join(sorted(kept.build for kept in self.all()))
            raise UsageError(f"no container was kept of the build {build}",
                             hint=f"Of these there is one: {others}." if others else _HINT) from None
        except ValidationError as error:
            raise UsageError(f"{path} is not what this imgasm knows of kept builds",
                             hint="Remove it, and build again.") from error

    def all(self) -> Iterator[KeptBuild]:
        for path in sorted(self._folder.glob("*.json")):
            try:
                yield _ADAPTER.validate_json(path.read_bytes())
            except (OSError, ValidationError):
                continue  # another imgasm's, or just removed

    def has(self, build: str) -> bool:
        return self._path(build).exists()

    def remove(self, build: str) -> None:
        self._path(build).unlink(missing_ok=True)
        self._path(build).with_suffix(".lock").unlink(missing_ok=True)

    @contextmanager
    def alone(self, build: str) -> Iterator[None]:
        """While nobody else works in the container of ``build``; UsageError where somebody does."""
        self._folder.mkdir(parents=True, exist_ok=True)
        with attempt(self._path(build).with_suffix(".lock")) as free:
            if not free:
                raise UsageError(f"another imgasm is at work in {kept_name(build)}", hint="Wait for it, or end it.")
            yield

    def _path(self, build: str) -> Path:
        if not build.isalnum():
            raise UsageError(f"{build!r} names no build", hint="Name a container, or the build whose it is.")
        return self._folder / f"{build}.json"
