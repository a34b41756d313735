"""The layers of an image as text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rich.console import Group, RenderableType
from rich.text import Text

from assembler.model.printable import printable
from assembler.model.size import human
from assembler.report.record_part import counted
from assembler.report.text_layout import Name, columns, draw, first_of, hint_rows, listing, section, size_or_blank

if TYPE_CHECKING:
    from rich.table import Table

    from assembler.report.build_record import Heavy
    from assembler.report.image_layers import Contents, LayersReport

_LARGEST: Final = 8
_NAME: Final = 60


def render_layers(report: LayersReport, width: int = 80, color: bool = False) -> str:
    """Lines without trailing blanks; escape sequences only with ``color``."""
    parts: list[RenderableType] = [_headline(report)]
    if report.layers:
        parts.append(section("Layers", _layers(report, width)))
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


def _layers(report: LayersReport, width: int) -> Table:
    """Without the columns on the right for which there is no room."""
    room = max(1, (width - 20) // 10)
    table = columns("layer", *("stored", "unpacked", "files", "wasted")[:room])
    for index, layer in enumerate(report.layers):
        name = printable(report.layer_name(index))
        short = name if len(name) <= _NAME else f"{name[: _NAME - 4]} ..."
        files = "" if layer.files is None else str(layer.files)
        wasted = size_or_blank(layer.wasted) if layer.wasted else ""
        figures = (human(layer.compressed), size_or_blank(layer.uncompressed), files, wasted)
        table.add_row(Name(short), *figures[:room])
    return table


def _contents(report: LayersReport, contents: Contents) -> list[RenderableType]:
    told = f"{human(contents.wasted)} of {human(contents.bytes)} is wasted"
    wasted: list[RenderableType] = [Text(f"{told}: efficiency {100 * contents.efficiency:.1f} %")]
    if contents.wasted_paths:
        rows = listing()
        for path in contents.wasted_paths[:_LARGEST]:
            rows.add_row(human(path.bytes), Name(path.path))
        wasted += [Text("\noverwritten or removed by a later layer", "dim"), rows]
    parts: list[RenderableType] = [section("Waste", *wasted)]
    for what, heavies in (("directories", contents.directories), ("files", contents.files)):
        if heavies:
            parts.append(section(f"Largest {what}", _heaviest(report, heavies)))
    if contents.hints:
        parts.append(section("Could be left out", hint_rows(contents.hints)))
    return parts


def _heaviest(report: LayersReport, heavies: tuple[Heavy, ...]) -> Table:
    rows = listing()
    rows.add_column(no_wrap=True, style="dim")
    for heavy in heavies[:_LARGEST]:
        layers = sorted(step + 1 for step, _ in heavy.steps if step is not None)
        where = f"{'layers' if len(layers) == 2 else 'layer'} {first_of([str(layer) for layer in layers])}"
        rows.add_row(human(heavy.bytes), Name(heavy.path), where if layers else "")
    return rows
