"""``imgasm matrix``: a build for each cell of a plan, on an engine that is there, and one index over all images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from assembler.commands.index import index
from assembler.errors import CellsFailed
from assembler.fleet.task import FINAL, Task
from assembler.model.place import Place, Store
from assembler.report.fleet_report import CellReport, FleetReport
from assembler.report.record_part import counted

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from assembler.fleet.journal import Journal
    from assembler.fleet.task import Executor, Ran
    from assembler.places.world import World
    from assembler.recipe.matrix_plan import Cell, MatrixPlan

_LINES: Final = 12
"""Of the log of a cell that failed."""


@dataclass(frozen=True, slots=True)
class Running:
    """``arguments`` are imgasm's for every cell, without which cell that is. Logs go to ``folder``."""

    executor: Executor
    arguments: tuple[str, ...]
    folder: Path
    journal: Journal


def run_matrix(plan: MatrixPlan, cells: Sequence[Cell], running: Running, world: World) -> FleetReport:
    """Builds ``cells`` and makes the index over all images of ``plan`` that its repository has then.

    A cell that fails leaves the others alone, and its former image, if there is one, in the index. A collector that was
    killed is run again: what was pushed stands, and what an engine still works at is waited for.
    """
    with running.journal.alone():
        reports = _run_cells(plan, cells, running, world)
    there = [plan.reference(cell) for cell in _present(plan, plan.cells, world)]
    report = FleetReport(cells=tuple(reports[cell.key] for cell in cells), index=str(plan.index))
    if not there:
        return report
    places = [Place(Store.REGISTRY, str(reference)) for reference in there]
    made = index(Place(Store.REGISTRY, str(plan.index)), places, world).index
    return report.model_copy(update={"digest": str(made.descriptor.digest), "entries": len(places)})


def missing(plan: MatrixPlan, cells: Sequence[Cell], world: World) -> list[Cell]:
    """Those whose image the repository lacks. What it has may have come from other inputs."""
    there = set(map(id, _present(plan, cells, world)))
    return [cell for cell in cells if id(cell) not in there]


def raise_if_failed(report: FleetReport) -> None:
    """CellsFailed with a line for each."""
    if failed := report.failed:
        raise CellsFailed(
            f"{counted(len(failed), 'cell')} of {len(report.cells)} failed",
            detail="\n".join(line for cell in failed for line in (cell.sentence, *_indented(cell.last_lines))),
            hint="The same command tries these again: what was built stands.",
        )


def _indented(lines: Iterable[str]) -> Iterator[str]:
    return (f"    {line}" for line in lines)


def _run_cells(plan: MatrixPlan, cells: Sequence[Cell], running: Running, world: World) -> dict[str, CellReport]:
    """By key."""
    reports: dict[str, CellReport] = {}
    left = {cell.key: cell for cell in cells}
    with world.progress.task("cells", unit="cells") as task:
        for attempt in range(1, plan.retries + 2):
            if not left:
                break
            for ran in running.executor.run(list(_tasks(plan, left.values(), attempt, running))):
                report = _judged(plan, left[ran.task.key], ran, running.folder)
                reports[report.key] = report
                task.advance(1)
                running.journal.note("ended", **report.model_dump(exclude={"values", "reference"}))
                world.progress.say(report.sentence)
            left = {key: cell for key, cell in left.items() if _may_be_tried_again(reports[key])}
    return reports


def _tasks(plan: MatrixPlan, cells: Iterable[Cell], attempt: int, running: Running) -> Iterator[Task]:
    for cell in cells:
        yield Task(cell.key, (*running.arguments, "--cell", cell.key), str(plan.file.parent), attempt)


def _may_be_tried_again(report: CellReport) -> bool:
    return report.outcome == "failed" and report.exit_code not in FINAL


def _judged(plan: MatrixPlan, cell: Cell, ran: Ran, folder: Path) -> CellReport:
    log = folder / f"{cell.key}.log"
    log.write_text(ran.log, encoding="utf-8")
    if ran.status == 0:
        return CellReport.model_validate_json(ran.out).model_copy(update={"attempts": ran.task.attempt})
    lines = ran.log.splitlines()
    errors = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
    return CellReport(
        key=cell.key, values=dict(cell.values), outcome="failed", reference=str(plan.reference(cell)),
        attempts=ran.task.attempt, exit_code=ran.status, log=str(log), last_lines=tuple(lines[-_LINES:]),
        error=errors[-1] if errors else f"it ended with status {ran.status}",
    )  # fmt: skip


def _present(plan: MatrixPlan, cells: Iterable[Cell], world: World) -> list[Cell]:
    with world.registries.repository(plan.index) as repository:
        return [cell for cell in cells if repository.manifest_digest(cell.key) is not None]
