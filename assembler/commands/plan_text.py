"""A plan as text: pure functions from values to lines."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields

from assembler.model.budget import Budget
from assembler.model.size import human
from assembler.recipe.files import plan_row
from assembler.recipe.model import Base, Bootstrap, Compression, Container, Image, Recipe, Source, Step
from assembler.recipe.run import pairs, plan_rows

Row = tuple[str, str]


def lines(recipe: Recipe, prune: Mapping[str, tuple[str, ...]], warnings: Iterable[str]) -> Iterator[str]:
    yield f"recipe {recipe.name}"
    yield from _section("variables", recipe.vars.items())
    yield from _section("times", _times(recipe))
    yield from _section("container", [("base", _base(recipe.base)), *_container(recipe.container)])
    yield from _section("sources", ((str(source.path), _source(source)) for source in recipe.sources))
    yield from _section("files", map(plan_row, recipe.files))
    for number, step in enumerate(recipe.steps, 1):
        yield from _step(number, step)
    yield from _section("prune", ((name, " ".join(globs)) for name, globs in prune.items()))
    for image in recipe.images:
        yield from _section(f"image {image.name}", _image(image))
    for warning in warnings:
        yield f"warning: {warning}"


def _section(title: str, rows: Iterable[Row]) -> Iterator[str]:
    """A title and its rows; nothing for no rows."""
    columns = list(_columns(rows))
    if columns:
        yield ""
        yield title
        yield from columns


def _columns(rows: Iterable[Row]) -> Iterator[str]:
    """Two columns; rows without a value are left out."""
    filled = [(key, value) for key, value in rows if value]
    width = max((len(key) for key, _ in filled), default=0)
    for key, value in filled:
        yield f"  {key:{width}}  {value}"


def _times(recipe: Recipe) -> Iterator[Row]:
    """As the recipe has them; only a build asks the environment."""
    yield "clamp", "" if recipe.source_date_epoch is None else f"{recipe.source_date_epoch} s since 1970"
    yield "created", recipe.created or ""


def _base(base: Base) -> str:
    if base.bootstrap:
        return _bootstrap(base.bootstrap)
    kind, value = next((field.name, value) for field in fields(base) if (value := getattr(base, field.name)))
    return f"{kind} {value}"


def _bootstrap(bootstrap: Bootstrap) -> str:
    packages = f" with {' '.join(bootstrap.packages)}" if bootstrap.packages else ""
    origin = f" from {bootstrap.mirror}" if bootstrap.mirror else ""
    machine = f" for {bootstrap.architecture}" if bootstrap.architecture else ""
    return f"{bootstrap.suite} {'/'.join(bootstrap.components)} ({bootstrap.variant}){packages}{machine}{origin}"


def _container(container: Container) -> Iterator[Row]:
    yield "privileged", "yes" if container.privileged else ""
    yield "capabilities", " ".join(container.cap_add)
    yield "security", " ".join(container.security_opt)
    yield "devices", " ".join(container.devices)
    yield "network", container.network or ""
    yield "scratch", " ".join(map(str, container.scratch))
    yield "environment", pairs(container.env)
    yield "shell", shlex.join(container.shell)


def _source(source: Source) -> str:
    pin = f"sha256 {source.sha256}" if source.sha256 else "not pinned yet"
    return f"{source.url} ({pin})"


def _step(number: int, step: Step) -> Iterator[str]:
    """A title, what is special about the step, and its script as it will run."""
    special = [
        ("user", step.user or ""),
        ("workdir", str(step.workdir or "")),
        ("environment", pairs(step.env)),
        ("timeout", f"{step.timeout:g} s" if step.timeout else ""),
        ("execute", shlex.join(step.argv) if step.script is None else ""),
    ]
    yield ""
    yield f'step {number} "{step.name}"'
    yield from _columns(special)
    for line in (step.script or "").strip("\n").splitlines():
        yield f"    {line}".rstrip()


def _image(image: Image) -> Iterator[Row]:
    yield "onto", str(image.onto)
    yield "keep", " ".join(image.keep) or "everything that is not pruned"
    yield "compression", _compression(image.compression)
    yield "budget", ", ".join(_budget(image.budget))
    yield "reference", image.reference or ""
    yield from plan_rows(image.config)
    yield "annotations", pairs(image.annotations)


def _budget(budget: Budget) -> Iterator[str]:
    limits = {
        "layer": budget.layer, "layer unpacked": budget.layer_unpacked, "image": budget.image,
        "image unpacked": budget.image_unpacked, **dict(budget.paths), "peak": budget.peak,
    }  # fmt: skip
    yield from (f"{what} {human(limit)}" for what, limit in limits.items() if limit is not None)
    if budget.growth is not None:
        floor = f" and {human(budget.growth.floor)}" if budget.growth.floor else ""
        yield f"growth {budget.growth.percent:g} %{floor} beyond {budget.growth.baseline or 'what the registry has'}"


def _compression(compression: Compression) -> str:
    return compression.codec if compression.level is None else f"{compression.codec} level {compression.level}"
