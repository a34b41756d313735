"""Holds a record's images against their budgets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from assembler.errors import BudgetExceeded
from assembler.model.globs import matching
from assembler.report.budget import check
from assembler.report.record import RECORD_NAME, BuildRecord

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from assembler.model.budget import Budget
    from assembler.report.budget import Baseline


def check_budgets(
    record: BuildRecord, budgets: Mapping[str, Budget], baselines: Mapping[str, Baseline]
) -> BuildRecord:
    """The record with what was found, beside what it said before. Both mappings are by the images' names."""
    checked = [image for image in record.images if budgets.get(image.name)]
    found = [
        violation
        for image in checked
        for violation in check(record, image, budgets[image.name], matching, baselines.get(image.name))
    ]
    names = dict.fromkeys((*record.checked, *(image.name for image in checked)))
    return record.model_copy(update={"checked": tuple(names), "broken": (*record.broken, *found)})


def refuse_over_budget(layout: Path) -> None:
    """BudgetExceeded when ``layout`` was built over a budget; a layout that imgasm did not build has none."""
    if (layout / RECORD_NAME).is_file():
        raise_if_broken(BuildRecord.load(layout))


def raise_if_broken(record: BuildRecord) -> None:
    """BudgetExceeded that names every broken budget with its culprits."""
    if record.broken:
        raise BudgetExceeded(
            "; ".join(violation.sentence for violation in record.broken),
            detail="\n".join(line for violation in record.broken for line in violation.culprits),
            hint="imgasm size-report shows the largest files and the steps that wrote them.",
        )
