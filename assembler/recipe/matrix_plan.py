"""A plan of a matrix: one recipe, the axes whose values make a build of their own each, and where the images go."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from itertools import product
from pathlib import Path
from typing import Annotated, Final

from pydantic import Field

from assembler.errors import UsageError
from assembler.model.reference import Reference
from assembler.recipe.load import Origin, read_toml
from assembler.recipe.problems import Problems
from assembler.recipe.table import Table
from assembler.recipe.validate import validate
from assembler.recipe.values import Name, VariableName
from assembler.recipe.variables import tag

_LONGEST: Final = 128
"""Characters of a tag (distribution-spec, "Pulling manifests")."""

_KEYS: Final = "docs/how-to/fleets.md lists every key that a plan can have."


class KubernetesTable(Table):
    image: str
    config_map: str | None = None
    registry_secret: str | None = None
    cache_claim: str | None = None
    parallelism: Annotated[int, Field(ge=1)] = 4


class PlanDocument(Table):
    """As TOML has it."""

    name: Name
    recipe: str
    repository: str
    image: Name | None = None
    tag: str = "latest"
    retries: Annotated[int, Field(ge=0, le=9)] = 1
    copy_base_layers: bool = False
    checkpoints: str | None = None
    set: dict[VariableName, str] = Field(default={})
    set_env: dict[VariableName, str] = Field(default={})
    axes: Annotated[dict[VariableName, Annotated[list[str], Field(min_length=1)]], Field(min_length=1)]
    exclude: list[dict[VariableName, str]] = Field(default=[])
    kubernetes: KubernetesTable | None = None


@dataclass(frozen=True, slots=True)
class Cell:
    """One build. ``key`` is its image's tag: other cells that come or go don't change it. ``values`` are by axis."""

    key: str
    values: Mapping[str, str]

    def is_meant(self, pattern: str) -> bool:
        """By a glob for its key, or by ``axis=glob,axis=glob``."""
        if "=" not in pattern:
            return fnmatchcase(self.key, pattern)
        pairs = (part.partition("=") for part in pattern.split(","))
        return all(fnmatchcase(self.values.get(name, ""), glob) for name, _, glob in pairs)


@dataclass(frozen=True, slots=True)
class Kubernetes:
    """What a Job is made of: the ``image`` has imgasm in it, ``config_map`` the plan, the recipe and its files.

    ``registry_secret`` is of the type kubernetes.io/dockerconfigjson, ``cache_claim`` a volume for the cache.
    """

    image: str
    config_map: str | None
    registry_secret: str | None
    cache_claim: str | None
    parallelism: int


@dataclass(frozen=True, slots=True)
class MatrixPlan:
    """``repository`` holds the image of each cell under its key, and the index over all of them is ``index`` there.

    ``image`` is which of the recipe's images that is; None: it makes one only. ``settings`` are variables of every
    cell, ``from_environment`` those that come from an environment variable, by name. ``retries`` is how often a cell
    that failed is tried again. ``checkpoints`` is where machines share what steps have left that cells have in common.
    """

    file: Path
    name: str
    recipe: Path
    repository: Reference
    index: Reference
    image: str | None
    retries: int
    copy_base_layers: bool
    checkpoints: str | None
    settings: Mapping[str, str]
    from_environment: Mapping[str, str]
    cells: tuple[Cell, ...] = field(repr=False)
    kubernetes: Kubernetes | None = None

    def reference(self, cell: Cell) -> Reference:
        return Reference(self.repository.registry, self.repository.repository, cell.key)

    def chosen(self, patterns: list[str]) -> tuple[Cell, ...]:
        """The cells that one of ``patterns`` means, all without patterns. UsageError for one that means none."""
        for pattern in patterns:
            if not any(cell.is_meant(pattern) for cell in self.cells):
                raise UsageError(f"--only {pattern}: the plan has no such cell",
                                 hint="Write a key, or axis=value; * stands for anything. --list shows them.")
        return tuple(cell for cell in self.cells if not patterns or any(map(cell.is_meant, patterns)))

    def cell(self, key: str) -> Cell:
        """The one with that key, or ``@N``, the N-th from 0 on."""
        for number, cell in enumerate(self.cells):
            if key in (cell.key, f"@{number}"):
                return cell
        raise UsageError(f"the plan has no cell {key}", hint="--list shows them.")


def load_plan(path: Path) -> MatrixPlan:
    """The plan in the TOML file ``path``. Raises RecipeError that tells all that is wrong with it."""
    parsed = read_toml(Origin(path, kind="plan"))
    problems = Problems(str(path), parsed.tree, parsed.text, {"axes": "[axes]", "exclude": "[[exclude]]"})
    document = validate(parsed.tree, PlanDocument, problems, _KEYS)
    if document is None:
        problems.raise_if_any()
        raise AssertionError("a document that is not valid has problems")
    _check_names(document, problems)
    cells = tuple(_cells(document, problems))
    repository = _repository(document, problems)
    problems.raise_if_any()
    file = path.absolute()
    index = Reference(repository.registry, repository.repository, document.tag)
    return MatrixPlan(
        file, document.name, file.parent / document.recipe, repository, index, document.image, document.retries,
        document.copy_base_layers, document.checkpoints, document.set, document.set_env, cells,
        None if document.kubernetes is None else document.kubernetes.into(Kubernetes),
    )  # fmt: skip


def _check_names(document: PlanDocument, problems: Problems) -> None:
    for name in document.axes:
        for table, names in (("set", document.set), ("set_env", document.set_env)):
            if name in names:
                problems.add((table, name), "is an axis, too")
    for number, exclude in enumerate(document.exclude):
        for name, value in exclude.items():
            if value not in document.axes.get(name, ()):
                problems.add(("exclude", number, name), f'no axis {name} has the value "{value}"')


def _cells(document: PlanDocument, problems: Problems) -> Iterator[Cell]:
    """In the order of the axes, the last of which changes fastest."""
    known = {document.tag: "the index"}
    for values in product(*document.axes.values()):
        cell = Cell(tag("-".join(values)), dict(zip(document.axes, values, strict=True)))
        if any(exclude.items() <= cell.values.items() for exclude in document.exclude):
            continue
        if (other := known.setdefault(cell.key, " ".join(values))) != " ".join(values):
            problems.add(("axes",), f"{' '.join(values)} would have the same tag as {other}: {cell.key}")
        if len(cell.key) > _LONGEST:
            problems.add(("axes",), f"the tag {cell.key} would have more than {_LONGEST} characters")
        yield cell
    if len(known) == 1:
        problems.add(("exclude",), "no cell is left")


def _repository(document: PlanDocument, problems: Problems) -> Reference:
    """Without a tag. What else is wrong with it is for those who meet it."""
    try:
        found = Reference.parse(f"{document.repository}:{document.tag}")
    except UsageError as error:
        problems.add(("repository",), error.message)
        return Reference("localhost", "none")
    return Reference(found.registry, found.repository)
