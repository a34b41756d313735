"""Holds a record's images against their budgets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from assembler.changeset.symlinks import resolved_globs
from assembler.errors import BudgetExceeded
from assembler.model.globs import matching
from assembler.report.budget import check
from assembler.report.build_records import Builds, is_build

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from assembler.changeset.tree import Tree
    from assembler.model.budget import Budget
    from assembler.report.budget import Baseline, Matching
    from assembler.report.build_record import BuildRecord


def through_links(budgets: Iterable[Budget], tree: Tree) -> Matching:
    """What makes matching functions of the budgets' globs that go through the symbolic links of ``tree``.

    ``tree`` is needed no more when this returns.
    """
    real = {glob: resolved_globs(glob, tree) for budget in budgets for glob, _ in budget.paths}

    def matching_any(glob: str) -> Callable[[str], object]:
        each = [matching(way.pattern) for way in real[glob]]
        return lambda path: any(matches(path) for matches in each)

    return matching_any


def check_budgets(
    record: BuildRecord,
    budgets: Mapping[str, Budget],
    baselines: Mapping[str, Baseline],
    matching: Matching = matching,
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
    if is_build(layout):
        raise_if_broken(*Builds.load(layout).builds)


def raise_if_broken(*records: BuildRecord) -> None:
    """BudgetExceeded that names every broken budget with its culprits."""
    broken = [violation for record in records for violation in record.broken]
    if broken:
        raise BudgetExceeded(
            "; ".join(violation.sentence for violation in broken),
            detail="\n".join(line for violation in broken for line in violation.culprits),
            hint="imgasm size-report shows the largest files and the steps that wrote them.",
        )
