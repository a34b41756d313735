"""A recipe as a whole: its tables as TOML has them, and the values that the rest of imgasm works with.

What a table is, checks, becomes and shows in a plan is in the file of its name. How text becomes a recipe is
``load``'s business.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Final, get_origin

from pydantic import Field

from assembler.model.container import Container
from assembler.model.digest import Digest
from assembler.model.secrets import Secrets
from assembler.recipe import base, caches, container, files, images, prune, secret_inputs, sources, steps
from assembler.recipe.base import Base, BaseTable
from assembler.recipe.caches import Cache, CacheTable
from assembler.recipe.container import ContainerTable
from assembler.recipe.files import File, FileTable, Folder
from assembler.recipe.images import Image, ImageTable
from assembler.recipe.problems import Problems
from assembler.recipe.prune import Prune, PruneTable
from assembler.recipe.rows import Row, section
from assembler.recipe.secret_inputs import SecretInput, SecretTable
from assembler.recipe.sources import Source, SourceTable
from assembler.recipe.steps import Step, StepTable
from assembler.recipe.table import Given, Shorthand, Table
from assembler.recipe.values import Created, Name, VariableName
from assembler.recipe.vars import VariableTable, value_alone


class Document(Table):
    """An imgasm recipe."""

    name: Name = Field(description="What the build is called.")
    source_date_epoch: Annotated[int, Field(ge=0)] | None = Field(
        default=None, description="No new file in a layer is later than this, in seconds since 1970; steps find it in "
        "SOURCE_DATE_EPOCH, which wins over this where imgasm itself finds it set.")
    created: Created | None = Field(
        default=None, description="When the images were made, as they tell it; by default they don't. "
        '"2026-01-02T03:04:05Z", "source_date_epoch" or "now".')
    vars: dict[VariableName, Annotated[VariableTable, Shorthand(value_alone)]] = Field(
        default={}, description="What {{ name }} stands for; --set name=value overrides. {{ name | tag }} is the same "
        "as a tag can have it: 6.12.48+deb13 becomes 6.12.48_deb13.")
    base: BaseTable
    container: ContainerTable = ContainerTable()
    source: list[SourceTable] = Field(default=[])
    secret: list[SecretTable] = Field(default=[])
    cache: list[CacheTable] = Field(default=[])
    file: list[FileTable] = Field(default=[])
    step: list[StepTable] = Field(default=[])
    prune: PruneTable = PruneTable()
    image: Annotated[list[ImageTable], Field(min_length=1)]


STANDARD_INPUT: Final = Path("-")


@dataclass(frozen=True, slots=True)
class Recipe:
    """Every variable replaced, every default filled in, every value checked.

    ``file`` is absolute, or STANDARD_INPUT, which no lock file stands beside.
    """

    name: str
    file: Path
    base: Base
    vars: dict[str, str] = field(default_factory=dict)
    """For people and reports: secrets are hidden."""
    secrets: Secrets = field(default_factory=Secrets)
    container: Container = field(default_factory=Container)
    sources: tuple[Source, ...] = ()
    secret_inputs: tuple[SecretInput, ...] = ()
    caches: tuple[Cache, ...] = ()
    files: tuple[File | Folder, ...] = ()
    steps: tuple[Step, ...] = ()
    prune: Prune = field(default_factory=Prune)
    images: tuple[Image, ...] = ()
    source_date_epoch: int | None = None
    """Seconds; None keeps every file's own time."""
    created: str | None = None
    """RFC 3339, or one of ``model.moment``'s words; None makes images without dates."""
    digest: Digest | None = field(default=None, compare=False)
    """Of the text that it was read from."""


def headers() -> dict[str, str]:
    """How a file writes the header of each table: ``[base]``, ``[[step]]``."""
    kinds = {key: info.annotation for key, info in Document.model_fields.items()}
    lists = {key: f"[[{key}]]" for key, kind in kinds.items() if get_origin(kind) is list}
    tables = {key: f"[{key}]" for key, kind in kinds.items()
              if get_origin(kind) is dict or (isinstance(kind, type) and issubclass(kind, Table))}  # fmt: skip
    return lists | tables


def check(document: Document, presets: Collection[str], problems: Problems) -> None:
    """What the tables must be together: every table may be right alone, and the recipe still impossible."""
    container.check(document.container, problems)
    sources.check(document.source, problems)
    secret_inputs.check(document.secret, [step.name for step in document.step], problems)
    files.check(document.file, problems)
    caches.check(document.cache, document.container.scratch, problems)
    problems.unique((
        *caches.places(document.cache), *sources.places(document.source, problems.secrets),
        *files.places(document.file),
    ))  # fmt: skip
    steps.check(document.step, problems)
    prune.check(document.prune, presets, problems)
    images.check(document.image, document.container.scratch, problems)


def resolve(document: Document, file: Path, given: Given, problems: Problems) -> Recipe:
    """``file`` is the recipe's. Looks at files in the recipe's folder, and tells what is wrong with them."""
    return document.into(
        Recipe,
        file=file,
        base=base.resolve(document.base, given.folder),
        vars={name: given.secrets.mask(value) for name, value in given.variables.items()},
        secrets=given.secrets,
        container=container.resolve(document.container),
        sources=tuple(sources.resolve(one, number, given, problems) for number, one in enumerate(document.source)),
        caches=tuple(map(caches.resolve, document.cache)),
        secret_inputs=tuple(secret_inputs.resolve(one, given.folder) for one in document.secret),
        files=tuple(files.resolve(one, number, given.folder, problems) for number, one in enumerate(document.file)),
        steps=tuple(steps.resolve(one, document.container.shell) for one in document.step),
        prune=prune.resolve(document.prune),
        images=tuple(images.resolve(one, number, given.folder, problems) for number, one in enumerate(document.image)),
        digest=None,
    )


def lines(recipe: Recipe) -> Iterator[str]:
    """The recipe as ``imgasm plan`` shows it, without line ends."""
    yield f"recipe {recipe.name}"
    yield from section("variables", recipe.vars.items())
    yield from section("times", _times(recipe))
    yield from section("container", [base.row(recipe.base), *container.rows(recipe.container)])
    yield from section("sources", map(sources.row, recipe.sources))
    yield from section("caches", map(caches.row, recipe.caches))
    yield from section("secrets", map(secret_inputs.row, recipe.secret_inputs))
    yield from section("files", map(files.row, recipe.files))
    for number, step in enumerate(recipe.steps, 1):
        yield from steps.lines(number, step)
    yield from section("prune", prune.rows(recipe.prune))
    for image in recipe.images:
        yield from section(f"image {image.name}", images.rows(image))


def _times(recipe: Recipe) -> Iterator[Row]:
    """As the recipe has them; only a build asks the environment."""
    yield "clamp", "" if recipe.source_date_epoch is None else f"{recipe.source_date_epoch} s since 1970"
    yield "created", recipe.created or ""
