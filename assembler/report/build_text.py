"""A build's record as text for a terminal, a pipe or a CI log: plain lines, no boxes, never wider than ``width``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from assembler.model.printable import printable
from assembler.model.size import human
from assembler.report.dockerfile_cost import HEADING, ONE_STAGE, two_stages
from assembler.report.record_part import counted
from assembler.report.text_layout import (
    Name,
    columns,
    draw,
    duration,
    first_of,
    hint_rows,
    listing,
    section,
    size_or_blank,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from assembler.model.step_usage import StepUsage
    from assembler.report.build_record import BuildRecord, Heavy, ImageReport
    from assembler.report.dockerfile_cost import DockerfileCost

_LARGEST: Final = 8
_BAR: Final = 20
_WORTH_A_HINT: Final = 10_000
"""Bytes."""


def render(record: BuildRecord, width: int = 80, color: bool = False) -> str:
    """Lines without trailing blanks; escape sequences only with ``color``."""
    parts: list[RenderableType] = [_headline(record)]
    if record.steps:
        parts.append(section("Steps", _steps(record.steps, width)))
    if record.discarded:
        parts.append(section("Written by one step, deleted or replaced by a later one", _discarded(record)))
    if record.caches:
        parts.append(section("Caches, which other builds use as well", _caches(record)))
    if record.prune:
        parts.append(section("Prune", _prune(record)))
    parts += [_image(record, image) for image in record.images]
    if record.broken:
        parts.append(section("Over budget", _broken(record)))
    parts += [Text(f"\n{note}", "dim") for note in record.notes]
    if record.dockerfile:
        parts.append(section(HEADING, _dockerfile(record.dockerfile)))
    return draw(Group(*parts), width, color)


def _headline(record: BuildRecord) -> Text:
    seconds = sum(step.seconds for step in record.steps)
    text = Text(printable(record.recipe.name), "bold")
    text.append(f": {counted(len(record.steps), 'step')} in {duration(seconds)}", "not bold")
    if record.engine:
        storage = f", {record.engine.storage}" if record.engine.storage else ""
        text.append(f", {record.engine.name} {record.engine.version}{storage}", "not bold")
    return text


def _steps(steps: tuple[StepUsage, ...], width: int) -> Table:
    """Columns that nobody could measure are left out, and those on the right for which there is no room."""
    figures: dict[str, list[int | None]] = {
        "layer": [step.layer for step in steps],
        "added": [step.added for step in steps],
        "removed": [step.removed for step in steps],
        "peak": [step.peak for step in steps],
        "scratch": [step.scratch for step in steps],
        "free": [step.free_min for step in steps],
    }
    room = max(1, (width - 24) // 9)
    known = {name: values for name, values in figures.items() if any(value is not None for value in values)}
    known = dict(list(known.items())[:room])
    table = columns("step", "time", *known)
    for index, step in enumerate(steps):
        sizes = (size_or_blank(values[index]) for values in known.values())
        table.add_row(Name(step.name), duration(step.seconds), *sizes)
    return table


def _caches(record: BuildRecord) -> Table:
    rows = listing()
    for cache in record.caches:
        rows.add_row(size_or_blank(cache.bytes), Name(f"{cache.name} at {cache.path}"))
    return rows


def _discarded(record: BuildRecord) -> Table:
    rows = listing()
    for discard in sorted(record.discarded, key=lambda discard: -discard.bytes)[:_LARGEST]:
        writer, remover = record.step_name(discard.written_by), record.step_name(discard.removed_by)
        rows.add_row(human(discard.bytes), Name(f"{writer}, then {remover}"))
    return rows


def _prune(record: BuildRecord) -> Table:
    table = columns("rule", "files", "bytes")
    for name, (files, size) in _by_rule(record).items():
        if files:
            table.add_row(Name(name), str(files), human(size))
        else:
            table.add_row(Text(printable(name), "yellow"), "", Text("matched nothing", "yellow"))
    return table


def idle_rules(record: BuildRecord) -> list[str]:
    """What was to be pruned and was not there."""
    return [printable(name) for name, (files, _) in _by_rule(record).items() if not files]


def _by_rule(record: BuildRecord) -> dict[str, tuple[int, int]]:
    """Files and bytes. A preset is one rule: that some of its globs find nothing is its nature."""
    totals: dict[str, tuple[int, int]] = {}
    for rule in record.prune:
        name = f"preset {rule.preset}" if rule.preset else rule.pattern
        files, size = totals.get(name, (0, 0))
        totals[name] = files + rule.files, size + rule.bytes
    return totals


def _image(record: BuildRecord, image: ImageReport) -> RenderableType:
    title = f"Image {printable(image.name)}" + (f", {printable(image.reference)}" if image.reference else "")
    parts: list[RenderableType] = [_sizes(image)]
    if any(step is not None for step, _ in image.steps):
        shares = [(printable(record.step_name(step)), tally.bytes) for step, tally in image.steps]
        parts += [Text("\nwritten by", "dim"), _bars(shares)]
    for what, heavies in (("directories", image.directories), ("files", image.files)):
        if heavies:
            parts += [Text(f"\nlargest {what}", "dim"), _heaviest(record, heavies)]
    if image.packages:
        parts += [Text("\npackages in the layer", "dim"), _packages(record, image)]
    worth = [hint for hint in image.hints if hint.bytes >= _WORTH_A_HINT]
    if worth:
        parts += [Text("\ncould be left out", "dim"), hint_rows(worth)]
    return section(title, *parts)


def _packages(record: BuildRecord, image: ImageReport) -> Table:
    """With version and licence, where the container's database told them."""
    known = {package.name: package for package in record.packages}
    rows = listing()
    for name, tally in image.packages[:_LARGEST]:
        package = known.get(name)
        told = (name, package.version, package.licence or "licence not told") if package is not None else (name,)
        rows.add_row(human(tally.bytes), Text(printable(f"{', '.join(told)} ({counted(tally.files, 'file')})")))
    if (more := len(image.packages) - _LARGEST) > 0:
        rows.add_row("", Text(f"and {counted(more, 'package')} more; imgasm sbom lists all", "dim"))
    return rows


def _sizes(image: ImageReport) -> Table:
    layer = image.layer
    kinds = ", ".join(counted(count, kind) for kind, count in sorted(image.kinds.items(), key=lambda kind: -kind[1]))
    below = f", {human(image.compressed - layer.compressed)} of it in {counted(len(image.base), 'layer')} below"
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, show_header=False)
    table.add_column(no_wrap=True, style="dim")
    table.add_column()
    tar = f", {human(layer.uncompressed)} as a tar" if layer.uncompressed is not None else ""
    table.add_row("layer", f"{human(layer.compressed)} compressed{tar}")
    table.add_row("image", f"{human(image.compressed)} compressed{below if image.base else ', nothing below'}")
    table.add_row("entries", f"{image.entries}: {kinds}" if kinds else "none")
    if image.verdicts is not None:
        table.add_row("kernels", Text(printable(image.verdicts.summary), "red" if image.verdicts.is_refused else ""))
    if image.touched.files:
        left_out = f"{counted(image.touched.files, 'file')} of {human(image.touched.bytes)}: only their times changed"
        table.add_row("left out", left_out)
    return table


def _bars(shares: list[tuple[str, int]]) -> Table:
    whole = sum(size for _, size in shares) or 1
    table = columns("", "", "", "")
    table.columns[3].justify = "left"
    for name, size in shares:
        bar = "█" * round(_BAR * size / whole)
        table.add_row(Text(name), human(size), f"{100 * size / whole:.0f} %", Text(bar, "cyan"))
    return table


def _heaviest(record: BuildRecord, heavies: Iterable[Heavy]) -> Table:
    table = listing()
    table.add_column(no_wrap=True, style="dim")
    for heavy in list(heavies)[:_LARGEST]:
        steps = [printable(record.step_name(step)) for step, _ in heavy.steps if step is not None]
        table.add_row(human(heavy.bytes), Name(heavy.path), first_of(steps))
    return table


def _broken(record: BuildRecord) -> Group:
    lines: list[Text] = []
    for violation in record.broken:
        lines.append(Text(printable(violation.sentence), "red"))
        lines += [Text(f"  {printable(culprit)}") for culprit in violation.culprits]
    return Group(*lines)


def _dockerfile(cost: DockerfileCost) -> Group:
    """Both ways that people write one: who knows the second finds no more saved here than there is."""
    lines = [f"{ONE_STAGE}: {cost.one_stage()}", two_stages(cost)]
    lines += [f"  {image}: {weight}" for image, weight in cost.last_stages()]
    return Group(*map(Text, lines))
