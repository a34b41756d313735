"""A layer's files as nested rectangles: area is bytes, a directory holds what is in it.

The rectangles are as square as they come: M. Bruls, K. Huizing, J. van Wijk, "Squarified Treemaps" (2000).

The page has the same picture from d3-hierarchy, in the browser (assets/treemap.js): there the reader resizes it and
opens directories, and each time it is laid out again. A picture in a README or a pull request runs no script, so what
it shows is laid out here, and a browser to do it with is not a dependency of a build.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from assembler.report.file_table import FileTable

_SMALLEST: Final = 30.0
"""Area below which nobody sees a rectangle: what is smaller becomes one with its like."""

_GAP: Final = 1.0
_TITLE: Final = 15.0


@dataclass(slots=True)
class SizeTree:
    """A directory, or a file: that is one without children. ``steps``: bytes by the step that wrote them."""

    path: str
    size: int = 0
    steps: Counter[int | None] = field(default_factory=Counter)
    children: dict[str, SizeTree] = field(default_factory=dict)

    @property
    def step(self) -> int | None:
        """The one that wrote most of it."""
        return max(self.steps, key=lambda step: self.steps[step], default=None)


@dataclass(frozen=True, slots=True)
class Box:
    x: float
    y: float
    width: float
    height: float

    @property
    def area(self) -> float:
        return self.width * self.height

    def within(self, title: float) -> Box:
        """What is left for the contents of a directory whose title takes ``title`` of the height."""
        room = Box(self.x + _GAP, self.y + title, self.width - 2 * _GAP, self.height - title - _GAP)
        return room if room.width > 0 and room.height > 0 else Box(self.x, self.y, 0, 0)


@dataclass(frozen=True, slots=True)
class Cell:
    """``title`` says that a directory's own name is to be written above what it holds."""

    box: Box
    tree: SizeTree
    title: bool


def size_tree(table: FileTable) -> SizeTree:
    root = SizeTree("/")
    for row in table.rows():
        node = root
        node.size += row.size
        node.steps[row.step] += row.size
        parts = row.path.strip("/").split("/")
        for depth, part in enumerate(parts, 1):
            if part not in node.children:
                node.children[part] = SizeTree("/" + "/".join(parts[:depth]))
            node = node.children[part]
            node.size += row.size
            node.steps[row.step] += row.size
    return root


def cells(tree: SizeTree, box: Box) -> Iterator[Cell]:
    """Directories before what they hold, so that drawing in this order is right."""
    if box.area < _SMALLEST or not tree.size:
        return
    tree = _first_that_branches(tree)
    title = bool(tree.children) and box.height > 3 * _TITLE and box.width > 40
    yield Cell(box, tree, title)
    if tree.children and box.area > 4 * _SMALLEST:
        room = box.within(_TITLE if title else _GAP)
        for child, place in _squarify(_visible(tree, room), room):
            yield from cells(child, place)


def _first_that_branches(tree: SizeTree) -> SizeTree:
    """Without the directories that hold nothing but one directory."""
    while len(tree.children) == 1:
        (only,) = tree.children.values()
        if not only.children:
            break
        tree = only
    return tree


def _visible(tree: SizeTree, room: Box) -> list[SizeTree]:
    """The children, largest first; those too small to be seen are one last child."""
    least = _SMALLEST * tree.size / room.area if room.area else tree.size
    ordered = sorted(tree.children.values(), key=lambda child: (-child.size, child.path))
    large = [child for child in ordered if child.size >= least]
    rest = ordered[len(large) :]
    if rest:
        together = SizeTree(f"{tree.path.rstrip('/')}/ ({len(rest)} smaller)", sum(child.size for child in rest))
        for child in rest:
            together.steps.update(child.steps)
        large.append(together)
    return large


def _squarify(trees: list[SizeTree], box: Box) -> Iterator[tuple[SizeTree, Box]]:
    whole = sum(tree.size for tree in trees)
    if not whole or not box.area:
        return
    scale = box.area / whole
    row: list[SizeTree] = []
    for tree in trees:
        if row and _worst([*row, tree], scale, box) > _worst(row, scale, box):
            placed, box = _place(row, scale, box)
            yield from placed
            row = []
        row.append(tree)
    yield from _place(row, scale, box)[0]


def _worst(row: Iterable[SizeTree], scale: float, box: Box) -> float:
    """The aspect ratio, 1 or more, of the row's least square rectangle if it were laid along the shorter side."""
    areas = [tree.size * scale for tree in row]
    side, total = min(box.width, box.height), sum(areas)
    if not side or not min(areas):
        return math.inf
    return max(side**2 * max(areas) / total**2, total**2 / (side**2 * min(areas)))


def _place(row: list[SizeTree], scale: float, box: Box) -> tuple[list[tuple[SizeTree, Box]], Box]:
    """The row's rectangles along the shorter side of ``box``, and what is left of it."""
    upright = box.width >= box.height
    thick = sum(tree.size for tree in row) * scale / min(box.width, box.height)
    placed: list[tuple[SizeTree, Box]] = []
    position = 0.0
    for tree in row:
        length = tree.size * scale / thick if thick else 0.0
        at = Box(box.x, box.y + position, thick, length) if upright else Box(box.x + position, box.y, length, thick)
        placed.append((tree, at))
        position += length
    if upright:
        return placed, Box(box.x + thick, box.y, max(0.0, box.width - thick), box.height)
    return placed, Box(box.x, box.y + thick, box.width, max(0.0, box.height - thick))
