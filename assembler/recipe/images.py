"""[[image]]: what comes out. How an image is run is said in ``run``, what it may cost in ``budgets``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Final

from pydantic import Field, WithJsonSchema, model_validator

from assembler.layer.codecs import CODECS, DEFAULT, CodecName
from assembler.model.budget import Budget
from assembler.model.place import Place
from assembler.model.run_config import RunConfig
from assembler.recipe import budgets, run
from assembler.recipe.budgets import BudgetTable
from assembler.recipe.problems import Problems
from assembler.recipe.rows import Row, pairs
from assembler.recipe.run import RunTable
from assembler.recipe.table import Shorthand, Table
from assembler.recipe.values import VARIABLE, Glob, ImageReference, KernelName, Name, Onto, Size, absolute_glob, fail

_WILDCARDS: Final = frozenset("*?[")
_CODECS: Final = ({"type": "string", "enum": list(CODECS)}, VARIABLE)
_NAMES: Final = ", ".join(f'"{codec}"' for codec in CODECS)
_LEVELS: Final = ", ".join(
    f"{codec.levels[0]} to {codec.levels[-1]} for {codec.name}" for codec in CODECS.values() if codec.levels
)


class CompressionTable(Table):
    codec: Annotated[CodecName, WithJsonSchema({"anyOf": list(_CODECS)})] = DEFAULT
    level: int | None = Field(
        default=None, description=f"{_LEVELS}; by default the codec's own.")

    @model_validator(mode="after")
    def _level_exists(self) -> CompressionTable:
        levels = CODECS[self.codec].levels
        if self.level is not None and self.level not in levels:
            right = f"the levels {levels[0]} to {levels[-1]}" if levels else "no levels"
            fail(f'"{self.codec}" has {right}, but level is {self.level}')
        return self


def _codec_alone(value: Any) -> Any:
    return {"codec": value} if isinstance(value, str) else value


class KeepTable(Table):
    """What may leave the container."""

    path: Glob = Field(description="An absolute glob; it goes through the container's symbolic links.")
    optional: bool = Field(default=False, description="Whether it may match nothing, which is an error otherwise.")


def _path_alone(value: Any) -> Any:
    if isinstance(value, str):
        return {"path": absolute_glob(value)}
    return value if isinstance(value, dict) else fail("expected an absolute glob, or a table with path and optional")


class ImageTable(RunTable):
    """What comes out: exactly one new layer."""

    name: Name = Field(description="What the command line and the layout call it.")
    reference: ImageReference | None = Field(default=None, description="Where push and load take it.")
    onto: Onto = Field(
        default="base", description='"base", "scratch", a reference, a layout\'s path that begins with / or ./, or '
        "oci:DIR:NAME")
    keep: list[Annotated[KeepTable, Shorthand(_path_alone)]] = Field(
        default=[], description="Nothing but this leaves the container; empty means everything. Globs, or tables with "
        "path and optional.")
    annotations: dict[str, str] = Field(default={}, description="The manifest's annotations.")
    kernels: list[KernelName] | None = Field(
        default=None, description="The kernels that must take the image's modules: releases whose headers are in the "
        "container, absolute paths of headers there, or packages, directories and vmlinuz beside the recipe that begin "
        "with ./; by default those whose headers are in the container and that the modules were compiled for.")
    compression: Annotated[CompressionTable, Shorthand(_codec_alone, _CODECS)] = Field(
        default_factory=CompressionTable, description=f"{_NAMES}, or a table with codec and level.")
    max_size: Size | None = Field(
        default=None, description='Short for budget.layer: "60MB", "60MiB", or bytes.')
    budget: BudgetTable = BudgetTable()

    @model_validator(mode="after")
    def _one_limit(self) -> ImageTable:
        if self.max_size is not None and self.budget.layer is not None:
            fail("has both max_size and budget.layer, which say the same; leave one of them out")
        return self


@dataclass(frozen=True, slots=True)
class Compression:
    codec: str = DEFAULT
    level: int | None = None
    """None means the codec's own default."""


@dataclass(frozen=True, slots=True)
class Image:
    """Exactly one new layer on ``onto``.

    ``onto`` is ``"base"``, ``"scratch"``, an image reference, the absolute path of an OCI layout, or another place as
    ``imgasm copy`` takes it, with an absolute path: ``oci:/DIR:NAME``.
    ``keep`` is empty or the globs of what may leave the container; each must match something there, but for those that
    are ``optional`` as well.
    ``kernels`` must take its modules: a release, an absolute path in the container, or a path of this machine's. None:
    whichever the container has the headers of.
    """

    name: str
    reference: str | None = None
    onto: str | Path = "base"
    keep: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    config: RunConfig = field(default_factory=RunConfig)
    compression: Compression = field(default_factory=Compression)
    budget: Budget = field(default_factory=Budget)
    annotations: dict[str, str] = field(default_factory=dict)
    kernels: tuple[str | Path, ...] | None = None


def check(tables: Sequence[ImageTable], scratch: Sequence[str], problems: Problems) -> None:
    """``scratch`` are the container's."""
    problems.unique((("image", number, "name"), image.name) for number, image in enumerate(tables))
    problems.unique((("image", number, "reference"), image.reference) for number, image in enumerate(tables))
    for number, image in enumerate(tables):
        _keep_can_match(number, image, scratch, problems)
        _growth_has_a_baseline(number, image, problems)


def _keep_can_match(number: int, image: ImageTable, scratch: Sequence[str], problems: Problems) -> None:
    """What is on scratch can never leave the container, so a pattern that only looks there is a misunderstanding."""
    for position, keep in enumerate(image.keep):
        above = next(filter(_literal_part(keep.path).is_relative_to, scratch), None)
        if above is not None:
            problems.add(
                ("image", number, "keep", position),
                f'"{keep.path}" can match nothing: {above} is scratch, and nothing on scratch reaches a layer; '
                "let a step put what the image needs somewhere else",
            )


def _literal_part(glob: str) -> PurePosixPath:
    """The leading directories of a glob that hold no wildcard."""
    path = PurePosixPath(glob)
    wild = next((n for n, part in enumerate(path.parts) if _WILDCARDS & set(part)), len(path.parts))
    return PurePosixPath(*path.parts[:wild])


def _growth_has_a_baseline(number: int, image: ImageTable, problems: Problems) -> None:
    growth = image.budget.growth
    if growth is not None and growth.baseline is None and image.reference is None:
        problems.add(("image", number, "budget", "growth"), "has nothing to compare with: give the image a "
                     "reference, or growth a baseline")  # fmt: skip


def resolve(table: ImageTable, number: int, folder: Path, problems: Problems) -> Image:
    """Looks whether the kernels are there that ``table`` names beside the recipe."""
    kernels = None if table.kernels is None else tuple(_kernel(text, folder) for text in table.kernels)
    for position, kernel in enumerate(kernels or ()):
        if isinstance(kernel, Path) and not kernel.exists():
            problems.add(("image", number, "kernels", position), f"there is nothing at {kernel}")
    return table.into(
        Image,
        onto=Place.beside(table.onto, folder),
        keep=tuple(keep.path for keep in table.keep),
        optional=tuple(keep.path for keep in table.keep if keep.optional),
        config=run.resolve(table),
        compression=table.compression.into(Compression),
        budget=budgets.resolve(table.budget, table.max_size, folder),
        kernels=kernels,
    )


def _kernel(text: str, folder: Path) -> str | Path:
    return (folder / text).resolve() if text.startswith(("./", "../")) else text


def rows(image: Image) -> Iterator[Row]:
    yield "onto", str(image.onto)
    yield "keep", " ".join(image.keep) or "everything that is not pruned"
    yield "compression", _compression(image.compression)
    yield "budget", budgets.text(image.budget)
    yield "reference", image.reference or ""
    yield from run.rows(image.config)
    yield "annotations", pairs(image.annotations)
    yield "kernels", " ".join(map(str, image.kernels)) if image.kernels else "none" if image.kernels == () else ""


def _compression(compression: Compression) -> str:
    return compression.codec if compression.level is None else f"{compression.codec} level {compression.level}"
