from __future__ import annotations

import random
from itertools import pairwise
from xml.etree import ElementTree

import pytest

from assembler.model.step_usage import StepUsage
from assembler.report.file_table import LayerRow, file_table
from assembler.report.picture import svg, timeline_svg
from assembler.report.step_colors import STEPS, ink
from assembler.report.timeline import spans, ticks
from assembler.report.treemap import Box, Cell, cells, size_tree

from .records import MB, layer_files, record

SVG = "{http://www.w3.org/2000/svg}"


def some_cells(count: int) -> list[Cell]:
    chance = random.Random(count)
    paths = [b"usr/" + b"/".join(b"d%d" % chance.randint(0, 4) for _ in range(3)) + b"/f%d" % n for n in range(count)]
    table = file_table(LayerRow(path, chance.randint(1, 10**6), chance.randint(0, 3)) for path in paths)
    return list(cells(size_tree(table), Box(10, 20, 900, 400)))


def inside(outer: Box, inner: Box) -> bool:
    slack = 1e-6
    return (
        inner.x >= outer.x - slack
        and inner.y >= outer.y - slack
        and inner.x + inner.width <= outer.x + outer.width + slack
        and inner.y + inner.height <= outer.y + outer.height + slack
    )


def overlap(one: Box, other: Box) -> float:
    width = min(one.x + one.width, other.x + other.width) - max(one.x, other.x)
    height = min(one.y + one.height, other.y + other.height) - max(one.y, other.y)
    return max(0.0, width) * max(0.0, height)


@pytest.mark.parametrize("count", [1, 7, 300])
def test_every_cell_lies_in_its_directory_and_on_no_other(count: int) -> None:
    found = some_cells(count)
    directories = {cell.tree.path: cell.box for cell in found if cell.tree.children}
    leaves = [cell.box for cell in found if not cell.tree.children]
    for cell in found:
        for path, box in directories.items():
            if cell.tree.path.startswith(path + "/"):
                assert inside(box, cell.box)
    assert all(overlap(one, other) < 1e-6 for n, one in enumerate(leaves) for other in leaves[:n])


def test_area_is_bytes_within_a_directory() -> None:
    table = file_table([LayerRow(b"d/a", 600), LayerRow(b"d/b", 300), LayerRow(b"d/c", 100)])
    boxes = {cell.tree.path: cell.box for cell in cells(size_tree(table), Box(0, 0, 300, 200))}
    assert boxes["/d/a"].area == pytest.approx(2 * boxes["/d/b"].area) == pytest.approx(6 * boxes["/d/c"].area)


def test_many_small_files_are_one_cell() -> None:
    table = file_table(LayerRow(b"d/%d" % n, 1, n % 2) for n in range(100_000))
    (directory, together) = cells(size_tree(table), Box(0, 0, 300, 200))
    assert directory.tree.path == "/d"
    assert together.tree.path == "/d/ (100000 smaller)"
    assert together.tree.size == 100_000


def test_spans_are_seamless_and_short_steps_are_seen() -> None:
    steps = record().steps
    found = spans(steps, 70, 800)
    assert found[0].start == 70 and found[-1].end == pytest.approx(870)
    assert all(one.end == other.start and one.after == other.before for one, other in pairwise(found))
    assert found[3].end - found[3].start == pytest.approx(14)
    assert [span.peak[0] for span in found] == [402 * MB, 370 * MB, 1640 * MB, 1500 * MB]
    assert found[0].before == 0


def test_spans_of_steps_that_took_no_time_or_were_not_measured() -> None:
    assert spans([], 0, 100) == []
    found = spans([StepUsage("a", 0.0, None), StepUsage("b", 0.0, None)], 0, 100)
    assert [(span.start, span.end) for span in found] == [(0, 50), (50, 100)]


@pytest.mark.parametrize("top", [1, 9, 1234, 46_300_000, 1_590_000_000])
def test_ticks_are_few_and_round(top: int) -> None:
    found = ticks(top)
    assert found[0] == 0 and found[-1] <= top
    assert 2 <= len(found) <= 6
    assert str(found[1]).strip("0") in ("1", "2", "5")


def test_the_picture_is_xml_whatever_the_names_are() -> None:
    build = record()
    steps = (build.steps[0], *build.steps[1:])
    table = file_table([LayerRow(b"a/</title><script>alert(1)</script>\x1b", 10**6, 2), LayerRow(b"a/x", 5, None)])
    image = build.images[0].model_copy(update={"table": table, "name": "<&>\x00"})
    picture = ElementTree.fromstring(svg(build.model_copy(update={"steps": steps}), image))
    assert not list(picture.iter(f"{SVG}script"))
    assert any("</title><script>" in (title.text or "") for title in picture.iter(f"{SVG}title"))
    assert [group.get("data-step") for group in picture.iter(f"{SVG}g") if group.get("class") == "step"] == list("0123")


def test_without_files_there_is_a_timeline_still() -> None:
    build = record(remote=True)
    assert len(list(ElementTree.fromstring(svg(build, build.images[0])).iter(f"{SVG}polygon"))) == 1
    assert "<style" not in timeline_svg(build)
    ElementTree.fromstring(timeline_svg(build.model_copy(update={"steps": (), "images": (), "discarded": ()})))


def test_a_dockerfiles_layers_are_bars_beside_the_one_layer() -> None:
    build = record()
    picture = ElementTree.fromstring(svg(build, build.images[0]))
    groups = [group for group in picture.iter(f"{SVG}g") if group.get("class") == "cost"]
    widths = [float(bar.get("width", "0")) for group in groups for bar in group.iter(f"{SVG}rect")]
    assert build.dockerfile is not None and len(widths) == len(build.steps) + 1
    assert sum(widths[:-1]) == pytest.approx(932, abs=1)
    [ours] = [stage.bytes for stage in build.dockerfile.two_stages if stage.image == build.images[0].name]
    assert widths[-1] == pytest.approx(932 * ours / build.dockerfile.bytes, abs=1)
    assert len([rect for rect in picture.iter(f"{SVG}rect") if rect.get("class") == "mark"]) == len(build.steps)


def test_letters_are_read_on_every_colour() -> None:
    assert {ink(color) for color in STEPS} == {"#000", "#fff"}
    assert (ink("#ffffff"), ink("#000000")) == ("#000", "#fff")


def test_layer_files_of_the_record_make_a_map() -> None:
    table = file_table(LayerRow(path, size, step) for path, _, size, step in layer_files() if size)
    picture = ElementTree.fromstring(svg(record(), record().images[0].model_copy(update={"table": table})))
    assert any(text.text == "nvidia.ko" for text in picture.iter(f"{SVG}text"))
