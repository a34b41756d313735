"""Commands about sizes: size-report, compare."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from assembler.cli import shared_options
from assembler.cli.budget_options import BudgetOptions
from assembler.cli.last_build import last_build
from assembler.cli.option_groups import takes_groups
from assembler.cli.output import emit_drawn, emit_json
from assembler.cli.registry_options import RegistryOptions
from assembler.cli.report_options import ReportOptions
from assembler.cli.shared_options import WHAT
from assembler.cli.terminal import Terminal
from assembler.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from assembler.model.place import Place
    from assembler.model.platform import Platform
    from assembler.places.world import World
    from assembler.report.build_record import BuildRecord
    from assembler.report.image_layers import LayersReport


@dataclass(frozen=True)
class Reading:
    """Which image, and how much of it is read."""

    image: shared_options.ImageName = None
    deep: Annotated[
        bool, typer.Option("--deep", help="Read the layers of an image in a registry, too. None is kept.")
    ] = False
    platform: Annotated[
        str | None,
        typer.Option("--platform", metavar="OS/ARCH", help="Which image of an index.", show_default="this machine's"),
    ] = None

    def chosen_platform(self, machine: Platform) -> Platform:
        return shared_options.platform(self.platform) or machine

    def refuse_idle(self, *whats: str) -> None:
        """UsageError for a platform that nothing is chosen by."""
        from assembler.report.build_records import is_build

        if self.platform and all(is_build(Path(what)) for what in whats):
            raise UsageError(f"--platform chooses from an index, but {' and '.join(whats)} holds a build's report",
                             hint="Leave it out, or write oci: before the build's directory.")


def register(app: typer.Typer) -> None:
    app.command("size-report")(takes_groups(size_report))
    app.command()(takes_groups(compare))


def size_report(
    *,
    what: Annotated[
        str | None, typer.Argument(metavar="WHAT", help=f"{WHAT}. By default this directory's last build.")
    ] = None,
    reading: Reading,
    faces: ReportOptions,
    limits: BudgetOptions,
    connection: RegistryOptions,
) -> None:
    """Show where the bytes went: of a build per step, prune rule and file; of any other image per layer.

    Of an image in a registry, only the manifest is read, unless --deep is given. A budget that is exceeded ends in exit
    code 10.
    """
    from assembler.commands.budget import raise_if_broken
    from assembler.commands.size_report import size_report as read_report
    from assembler.report.image_layers import LayersReport, as_record

    terminal = Terminal()
    world = connection.world(terminal)
    platform = reading.chosen_platform(world.platform)
    limits.budget()  # what is wrong with it is said before anything is read
    what = what or str(last_build(terminal))
    reading.refuse_idle(what)
    report = read_report(what, reading.image, platform, world, deep=reading.deep)
    if isinstance(report, LayersReport):
        _refuse_unread(report, limits)
        records = [_held_against(as_record(report), limits, world, platform)]
        faces.show_as(records[0], report.model_dump_json, _table(report))
    else:
        records = [_held_against(record, limits, world, platform) for record in report.builds]
        faces.show(*records)
    raise_if_broken(*records)


def compare(
    before: Annotated[str, typer.Argument(metavar="BEFORE", help=f"{WHAT}.")],
    after: Annotated[str, typer.Argument(metavar="AFTER", help="What to compare it with.")],
    reading: Reading,
    connection: RegistryOptions,
    as_json: shared_options.Json = False,
) -> None:
    """Show what grew and what shrank between two builds or images: by path, by step, by package."""
    from assembler.commands.compare import compare_images
    from assembler.report.compare import render_comparison

    terminal = Terminal()
    reading.refuse_idle(before, after)
    world = connection.world(terminal)
    comparison = compare_images(
        (before, after), reading.image, reading.chosen_platform(world.platform), world, deep=reading.deep
    )
    if as_json:
        emit_json(comparison.model_dump_json(indent=1))
    else:
        emit_drawn(lambda width, color: render_comparison(comparison, width, color))


def _table(report: LayersReport) -> Callable[[int, bool], str]:
    from assembler.report.image_layers_text import render_layers

    return lambda width, color: render_layers(report, width, color)


def _refuse_unread(report: LayersReport, limits: BudgetOptions) -> None:
    if report.contents is None and limits.budget().needs_contents:
        raise UsageError("The budget limits something that the manifest does not tell",
                         hint="Add --deep to read the layers.")  # fmt: skip


def _held_against(record: BuildRecord, limits: BudgetOptions, world: World, platform: Platform) -> BuildRecord:
    from assembler.commands.budget import check_budgets
    from assembler.commands.budget_baseline import find_baseline

    budget, baseline = limits.budget(), limits.baseline
    if not budget:
        return record
    found = {}
    for image in record.images if baseline is not None else ():
        known = find_baseline(_where(baseline or ""), image.name, world, platform)
        if known is None:
            raise UsageError(f"There is nothing at --baseline {baseline}", hint="Check the spelling.")
        found[image.name] = known
    return check_budgets(record, {image.name: budget for image in record.images}, found)


def _where(baseline: str) -> Place:
    from assembler.model.place import Place, Store

    place = Place.parse(baseline)
    if place.store not in (Store.LAYOUT, Store.REGISTRY) and Path(baseline).name != "imgasm.json":
        raise UsageError(f"--baseline {baseline} is not a build, a layout or a reference")
    return place
