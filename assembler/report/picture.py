"""A build as a picture: the disk over time with the steps below it, and the final layer as a treemap.

Built as XML, so that no name can become markup. The style sheet is the page's too; it follows the reader's light or
dark scheme also where the picture stands alone in a README.
"""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING, Final
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from assembler.model.printable import printable
from assembler.model.size import human
from assembler.report import timeline
from assembler.report.dockerfile_cost import HEADING, ONE_STAGE, two_stages
from assembler.report.step_colors import color, ink
from assembler.report.treemap import Box, Cell, cells, size_tree

if TYPE_CHECKING:
    from assembler.report.build_record import BuildRecord, ImageReport
    from assembler.report.dockerfile_cost import DockerfileCost
    from assembler.report.timeline import StepSpan

WIDTH: Final = 960
_ON: Final = {"#000": "black", "#fff": "white"}
"""Classes of the style sheet for text on a colour, by its ink."""

_PLOT: Final = Box(70, 16, WIDTH - 84, 190)
_BAR: Final = 22
TIMELINE_HEIGHT: Final = 280
_MAP_HEIGHT: Final = 420
_COMPARISON_HEIGHT: Final = 150
_OURS: Final = "#0969da"
_LETTER: Final = 6.6
"""Width of a letter of the 12 px sans, roughly: names are cut before they run into the next."""


def svg(record: BuildRecord, image: ImageReport | None = None) -> str:
    """A picture that stands alone: the timeline, and below it the layer of ``image`` if its files are known."""
    has_map = image is not None and image.table is not None
    ends = TIMELINE_HEIGHT + (_MAP_HEIGHT + 30 if has_map else 0)
    height = ends + (_COMPARISON_HEIGHT if record.dockerfile else 0)
    picture = _picture(height, f"{record.recipe.name}: disk during the build" + (", and the layer" if has_map else ""))
    SubElement(picture, "style").text = files("assembler.report").joinpath("assets/picture.css").read_text()
    SubElement(picture, "rect", {"class": "ground", "width": "100%", "height": "100%"})
    _draw_timeline(picture, record)
    if has_map and image is not None:
        _draw_map(picture, record, image, TIMELINE_HEIGHT)
    if record.dockerfile:
        shown = [stage.bytes for stage in record.dockerfile.two_stages if image is None or stage.image == image.name]
        _draw_comparison(picture, record, record.dockerfile, max(shown, default=0), ends + 16)
    return ElementTree.tostring(picture, encoding="unicode") + "\n"


def timeline_svg(record: BuildRecord) -> str:
    """The timeline alone and without its style sheet, for a page that has it already."""
    picture = _picture(TIMELINE_HEIGHT, f"{record.recipe.name}: disk during the build")
    _draw_timeline(picture, record)
    return ElementTree.tostring(picture, encoding="unicode")


def _picture(height: float, label: str) -> Element:
    told = {"role": "img", "aria-label": printable(label)}
    view = f"0 0 {WIDTH} {height:g}"
    return Element("svg", {"xmlns": "http://www.w3.org/2000/svg", "viewBox": view, "class": "picture", **told})


def _draw_timeline(picture: Element, record: BuildRecord) -> None:
    spans = timeline.spans(record.steps, _PLOT.x, _PLOT.width)
    top = max((held for span in spans for _, held in span.curve), default=0) or 1
    for tick in timeline.ticks(top):
        y = _y(tick, top)
        SubElement(picture, "path", {"class": "grid", "d": f"M{_PLOT.x:g} {y:.1f}H{_PLOT.x + _PLOT.width:g}"})
        _text(picture, (_PLOT.x - 8, y + 4), human(tick), anchor="end", look="soft")
    if not spans:
        return
    floor = _PLOT.y + _PLOT.height
    points = [(x, _y(held, top)) for span in spans for x, held in span.curve]
    area = [(points[0][0], floor), *points, (points[-1][0], floor)]
    SubElement(picture, "polygon", {"class": "held", "points": _points(area)})
    layer = [(x, _y(size, top)) for span in spans for x, size in ((span.start, span.before), (span.end, span.after))]
    SubElement(picture, "polyline", {"class": "layer", "points": _points(layer)})
    for index, span in enumerate(spans):
        _draw_step(picture, record, index, span)
    _draw_peaks(picture, spans, top)
    _draw_legend(picture)


def _draw_step(picture: Element, record: BuildRecord, index: int, span: StepSpan) -> None:
    step = record.steps[index]
    group = SubElement(picture, "g", {"class": "step", "data-step": str(index)})
    told = [f"{step.name}: {step.seconds:.1f} s"]
    told += [f"{human(size)} {what}" for size, what in ((step.added, "written"), (step.peak, "at the peak")) if size]
    SubElement(group, "title").text = printable(", ".join(told))
    y = _PLOT.y + _PLOT.height + 8
    place = {"x": f"{span.start:.1f}", "y": f"{y:g}", "width": f"{max(1, span.end - span.start - 1):.1f}"}
    SubElement(group, "rect", {**place, "height": str(_BAR), "rx": "2", "fill": color(index)})
    name = _cut(step.name, span.end - span.start - 8)
    if name:
        _text(group, (span.start + 5, y + 15), name, look=_ON[ink(color(index))])


def _draw_peaks(picture: Element, spans: list[StepSpan], top: int) -> None:
    """A dot on each step's peak, its size beside those that have room, the highest first."""
    peaks = sorted(((held, x) for span in spans for held, x in [span.peak]), reverse=True)
    taken: list[float] = []
    for held, x in peaks:
        y = _y(held, top)
        SubElement(picture, "circle", {"class": "peak", "cx": f"{x:.1f}", "cy": f"{y:.1f}", "r": "3"})
        if all(abs(x - other) > 70 for other in taken):
            taken.append(x)
            anchor = "end" if x > WIDTH - 80 else "start"
            place = x + (-6 if anchor == "end" else 6), max(12, y - 4)
            _text(picture, place, human(held), anchor=anchor)


def _draw_legend(picture: Element) -> None:
    y = TIMELINE_HEIGHT - 14
    SubElement(picture, "path", {"class": "layer", "d": f"M{_PLOT.x:g} {y - 4:g}h22"})
    _text(picture, (_PLOT.x + 28, y), "writable layer", look="soft")
    SubElement(picture, "rect", {"class": "held", "x": "200", "y": f"{y - 10:g}", "width": "22", "height": "11"})
    _text(picture, (228, y), "with scratch, and what lived only within a step", look="soft")
    SubElement(picture, "circle", {"class": "peak", "cx": "530", "cy": f"{y - 4:g}", "r": "3"})
    _text(picture, (540, y), "peak", look="soft")
    _text(picture, (WIDTH - 14, y), "short steps are drawn wider than they took", anchor="end", look="soft")


def _draw_comparison(picture: Element, record: BuildRecord, cost: DockerfileCost, ours: int, y: float) -> None:
    """The layers of a Dockerfile end to end, and to the same measure the one layer of ``ours`` bytes."""
    _text(picture, (14, y), f"{HEADING}, {ONE_STAGE}: {human(cost.bytes)} in its layers, uncompressed", look="soft")
    scale, left = (WIDTH - 28) / (cost.bytes or 1), 14.0
    for index, size in enumerate(cost.steps):
        _draw_bar(picture, (left, y + 8, size * scale), color(index), f"RUN {record.steps[index].name}: {human(size)}")
        left += size * scale
    _text(picture, (14, y + 50), f"imgasm, one layer: {human(ours)}", look="soft")
    _draw_bar(picture, (14, y + 58, max(1, ours * scale)), _OURS, f"one layer: {human(ours)}")
    _text(picture, (14, y + 100), f"{HEADING}, {two_stages(cost)}", look="soft")
    _draw_steps_legend(picture, record, y + 122)


def _draw_bar(picture: Element, at: tuple[float, float, float], fill: str, told: str) -> None:
    """``at`` is its left end, its top and its width."""
    group = SubElement(picture, "g", {"class": "cost"})
    SubElement(group, "title").text = printable(told)
    place = {"x": f"{at[0]:.1f}", "y": f"{at[1]:.1f}", "width": f"{at[2]:.1f}", "height": str(_BAR), "fill": fill}
    SubElement(group, "rect", place)


def _draw_steps_legend(picture: Element, record: BuildRecord, y: float) -> None:
    """Every step with its colour, for bars too short to hold a name; as many as fit into a line."""
    left, room = 14.0, (WIDTH - 28) / max(1, len(record.steps))
    for index, step in enumerate(record.steps):
        name = _cut(step.name, min(room, 200) - 24) or str(index + 1)
        place = {"x": f"{left:.1f}", "y": f"{y - 9:.1f}", "width": "10", "height": "10", "fill": color(index)}
        SubElement(picture, "rect", {**place, "class": "mark"})
        _text(picture, (left + 15, y), name, look="soft")
        left += min(room, len(name) * _LETTER + 34)


def _draw_map(picture: Element, record: BuildRecord, image: ImageReport, y: float) -> None:
    assert image.table is not None
    title = f"{image.name}: {human(image.layer.content)} in the layer, {human(image.layer.compressed)} compressed"
    _text(picture, (14, y + 16), printable(title))
    for cell in cells(size_tree(image.table), Box(14, y + 26, WIDTH - 28, _MAP_HEIGHT - 26)):
        _draw_cell(picture, record, cell)


def _draw_cell(picture: Element, record: BuildRecord, cell: Cell) -> None:
    box, fill = cell.box, color(cell.tree.step)
    group = SubElement(picture, "g")
    told = f"{cell.tree.path}: {human(cell.tree.size)}, {record.step_name(cell.tree.step)}"
    SubElement(group, "title").text = printable(told)
    place = {"x": f"{box.x:.1f}", "y": f"{box.y:.1f}", "width": f"{box.width:.1f}", "height": f"{box.height:.1f}"}
    opacity = {"fill-opacity": "0.35"} if cell.title else {}
    SubElement(group, "rect", {"class": "room", **place, "fill": fill, **opacity})
    name = _cut(cell.tree.path.rsplit("/", 1)[-1] or "/", box.width - 6)
    if name and box.height > 14 and (cell.title or not cell.tree.children):
        _text(group, (box.x + 4, box.y + 12), name, look="" if cell.title else _ON[ink(fill)])


def _text(parent: Element, at: tuple[float, float], text: str, *, anchor: str = "start", look: str = "") -> None:
    """``look`` is a class of the picture's style sheet."""
    attributes = {"x": f"{at[0]:.1f}", "y": f"{at[1]:.1f}", "text-anchor": anchor}
    if look:
        attributes["class"] = look
    SubElement(parent, "text", attributes).text = text


def _cut(name: str, room: float) -> str:
    """``name`` as far as it fits into ``room`` pixels; nothing at all rather than two letters."""
    name = printable(name)
    letters = int(room / _LETTER)
    if len(name) <= letters:
        return name
    return name[: letters - 1] + "…" if letters > 3 else ""


def _y(held: int, top: int) -> float:
    return _PLOT.y + _PLOT.height * (1 - held / top)


def _points(points: list[tuple[float, float]]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
