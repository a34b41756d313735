"""``imgasm matrix``: many builds of one recipe, and one index over them."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from assembler.cli import environment
from assembler.cli.option_groups import takes_groups
from assembler.cli.output import emit, emit_json
from assembler.cli.registry_options import RegistryOptions
from assembler.cli.shared_options import Printing
from assembler.errors import UsageError
from assembler.model.engines import NAMES, EngineName

if TYPE_CHECKING:
    from collections.abc import Sequence

    from assembler.fleet.journal import Journal
    from assembler.fleet.task import Executor
    from assembler.places.world import World
    from assembler.recipe.matrix_plan import Cell, MatrixPlan
    from assembler.report.fleet_report import FleetReport


class Emitted(StrEnum):
    kubernetes = "kubernetes"


@dataclass(frozen=True)
class Cells:
    """Which cells are meant, and whether they are only shown."""

    only: Annotated[
        list[str] | None,
        typer.Option(metavar="CELL", help="These cells: a key, or axis=value,axis=value; * stands for anything. Can be "
                     "repeated."),
    ] = None  # fmt: skip
    listed: Annotated[bool, typer.Option("--list", help="List the cells, and build nothing.")] = False
    missing: Annotated[
        bool, typer.Option("--missing", help="List the cells that the repository lacks, and build nothing.")
    ] = False
    index: Annotated[
        bool, typer.Option("--index", help="Make the index of what the repository has, and build nothing.")
    ] = False
    emit: Annotated[
        Emitted | None,
        typer.Option(metavar="KIND", help="Print what runs the plan elsewhere: kubernetes, for an Indexed Job."),
    ] = None
    cell: Annotated[
        str | None,
        typer.Option(metavar="CELL", help="Build this one cell here, and make no index: what engines run. @N is the "
                     "N-th from 0 on."),
    ] = None  # fmt: skip

    def __post_init__(self) -> None:
        alone = {"--list": self.listed, "--missing": self.missing, "--index": self.index, "--emit": self.emit,
                 "--cell": self.cell}  # fmt: skip
        given = [name for name, value in alone.items() if value]
        if self.only and not (self.listed or self.missing):
            given.append("--only")
        if len(given) > 1:
            raise UsageError(f"{' and '.join(given)} contradict each other", hint="Give one of them.")


@dataclass(frozen=True)
class Where:
    """Where the cells are built, and how."""

    on: Annotated[
        str,
        typer.Option(metavar="ENGINE", help="local:N for N processes here, dask:ADDRESS for a scheduler's workers, "
                     "slurm or slurm:N for a job array, of which N tasks run at once."),
    ] = "local:1"  # fmt: skip
    output: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Where the journal and logs go.", show_default="build/<name of the plan>"),
    ] = None
    engine: Annotated[
        EngineName | None,
        typer.Option("--engine", help=f"{', '.join(NAMES)}, on each machine that builds. By default what IMGASM_ENGINE "
                     "says there, else the first that answers; host in a Job for Kubernetes."),
    ] = None  # fmt: skip
    no_cache: Annotated[bool, typer.Option("--no-cache", help="Build every cell, even if nothing changed.")] = False

    def executor(self, fleet: str, folder: Path, journal: Journal, world: World) -> Executor:
        """UsageError for an engine that there is not."""
        from assembler.fleet.on_dask import OnDask
        from assembler.fleet.on_slurm import OnSlurm
        from assembler.fleet.on_this_machine import OnThisMachine

        kind, _, rest = self.on.partition(":")
        if kind == "dask" and rest:
            return OnDask(rest, fleet)
        if kind in ("local", "slurm") and (not rest or (rest.isdecimal() and int(rest) > 0)):
            number = int(rest or 0)
            if kind == "local":
                return OnThisMachine(number or 1)
            return OnSlurm(fleet, folder / "slurm", journal, world.clock.sleep, number)
        raise UsageError(f"--on {self.on}: there is no such engine",
                         hint="Write local:2, dask:tcp://HOST:8786, or slurm.")  # fmt: skip

    def arguments(self) -> list[str]:
        """For the imgasm that builds a cell."""
        engine = ["--engine", self.engine] if self.engine else []
        return [*engine, *(["--no-cache"] if self.no_cache else [])]


def register(app: typer.Typer) -> None:
    app.command()(takes_groups(matrix))


def matrix(
    *,
    file: Annotated[Path, typer.Argument(metavar="PLAN", help="The plan, a TOML file.")],
    cells: Cells,
    where: Where,
    connection: RegistryOptions,
    printing: Printing,
) -> None:
    """Build a recipe for each combination of a plan's axes (kernels, drivers, flavours), and one index over all.

    Each cell's image is pushed under a tag of its own. A cell whose image has come from the same inputs is not built
    again. One that fails is told with its log, while the others go on; exit code 13. After an interruption, the same
    command goes on.
    """
    from assembler.commands.kubernetes_job import indexed_job
    from assembler.commands.matrix import raise_if_failed
    from assembler.recipe.matrix_plan import load_plan

    terminal = printing.terminal()
    plan = load_plan(file)
    world = connection.world(terminal)
    if cells.cell is not None:
        _build_cell(plan, cells.cell, where, world)
        return
    if cells.emit is not None:
        without_daemon = replace(where, engine=where.engine or "host")
        emit_json(json.dumps(indexed_job(plan, without_daemon.arguments()), indent=2))
        return
    chosen = () if cells.index else plan.chosen(cells.only or [])
    if cells.listed or cells.missing:
        _show(plan, chosen, world, printing, lacking=cells.missing)
        return
    report = _run(plan, chosen, where, connection, world)
    if printing.as_json:
        emit_json(report.model_dump_json(indent=1))
    else:
        emit(report.summary)
    raise_if_failed(report)


def _run(
    plan: MatrixPlan, cells: Sequence[Cell], where: Where, connection: RegistryOptions, world: World
) -> FleetReport:
    from assembler.commands.matrix import Running, run_matrix
    from assembler.fleet.journal import Journal

    folder = (where.output or Path("build", plan.name)).absolute()
    folder.mkdir(parents=True, exist_ok=True)
    journal = Journal(folder / "journal.jsonl", world.clock.wall)
    arguments = ("matrix", str(plan.file), *where.arguments(), *connection.arguments())
    executor = where.executor(plan.name, folder, journal, world)
    return run_matrix(plan, cells, Running(executor, arguments, folder, journal), world)


def _build_cell(plan: MatrixPlan, key: str, where: Where, world: World) -> None:
    from assembler.commands.job import BuildOptions
    from assembler.commands.matrix_cell import build_cell
    from assembler.commands.shared_checkpoints import shared_place

    secrets = {name: environment.variable(variable) for name, variable in plan.from_environment.items()}
    shared = shared_place(plan.checkpoints) if plan.checkpoints else None
    options = BuildOptions(engine=where.engine, cache=not where.no_cache, cache_from=(shared,) if shared else (),
                           cache_to=shared)  # fmt: skip
    emit_json(build_cell(plan, plan.cell(key), secrets, world, options).model_dump_json())


def _show(plan: MatrixPlan, cells: Sequence[Cell], world: World, printing: Printing, *, lacking: bool) -> None:
    from assembler.commands.matrix import missing

    shown = missing(plan, cells, world) if lacking else cells
    if printing.as_json:
        emit_json(json.dumps([{**asdict(cell), "reference": str(plan.reference(cell))} for cell in shown], indent=1))
        return
    width = max((len(cell.key) for cell in shown), default=0)
    emit("\n".join(f"{cell.key:{width}}  " + " ".join(f"{name}={value}" for name, value in cell.values.items())
                   for cell in shown))  # fmt: skip
