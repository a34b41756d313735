"""The layers of an image as text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rich.console import Group, RenderableType
from rich.text import Text

from assembler.model.printable import printable
from assembler.model.size import human
from assembler.report.part import counted
from assembler.report.text import columns, draw, hint_rows, listing, section, size_or_blank

if TYPE_CHECKING:
    from rich.table import Table

    from assembler.report.layers import Contents, LayersReport
    from assembler.report.record import Heavy

_LARGEST: Final = 8
_NAME: Final = 60


def render_layers(report: LayersReport, width: int = 80, color: bool = False) -> str:
    """Lines without trailing blanks; escape sequences only with ``color``."""
    parts: list[RenderableType] = [_headline(report), section("Layers", _layers(report))]
    if report.contents is not None:
        parts += _contents(report, report.contents)
    else:
        parts.append(Text("\nonly the manifest was read; --deep reads the layers too", "dim"))
    return draw(Group(*parts), width, color)


def _headline(report: LayersReport) -> Text:
    text = Text(printable(report.name), "bold")
    unpacked = f", {human(report.uncompressed)} unpacked" if report.uncompressed is not None else ""
    told = f": {counted(len(report.layers), 'layer')}, {human(report.compressed)}{unpacked}, {report.platform}"
    text.append(told, "not bold")
    return text


def _layers(report: LayersReport) -> Table:
    table = columns("layer", "stored", "unpacked", "files", "wasted")
    for index, layer in enumerate(report.layers):
        name = printable(report.layer_name(index))
        short = name if len(name) <= _NAME else f"{name[: _NAME - 1]}…"
        files = "" if layer.files is None else str(layer.files)
        wasted = size_or_blank(layer.wasted) if layer.wasted else ""
        table.add_row(Text(short), human(layer.compressed), size_or_blank(layer.uncompressed), files, wasted)
    return table


def _contents(report: LayersReport, contents: Contents) -> list[RenderableType]:
    told = f"{human(contents.wasted)} of {human(contents.bytes)} is wasted"
    wasted: list[RenderableType] = [Text(f"{told}: efficiency {100 * contents.efficiency:.1f} %")]
    if contents.wasted_paths:
        rows = listing()
        for path in contents.wasted_paths[:_LARGEST]:
            rows.add_row(human(path.bytes), Text(printable(path.path)))
        wasted += [Text("\noverwritten or removed by a later layer", "dim"), rows]
    parts: list[RenderableType] = [section("Waste", *wasted)]
    parts.append(section("Largest directories", _heaviest(report, contents.directories)))
    parts.append(section("Largest files", _heaviest(report, contents.files)))
    if contents.hints:
        parts.append(section("Could still go", hint_rows(contents.hints)))
    return parts


def _heaviest(report: LayersReport, heavies: tuple[Heavy, ...]) -> Table:
    rows = listing()
    rows.add_column(no_wrap=True, style="dim")
    for heavy in heavies[:_LARGEST]:
        layers = sorted(step + 1 for step, _ in heavy.steps if step is not None)
        where = f"layer {layers[0]}" + (" ..." if len(layers) > 1 else "") if layers else ""
        rows.add_row(human(heavy.bytes), Text(printable(heavy.path)), where)
    return rows
