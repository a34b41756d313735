"""Two builds or images: what grew and what shrank, by path, step and package."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from rich.console import Group, RenderableType
from rich.text import Text

from assembler.model.size import human
from assembler.report.record_part import RecordPart
from assembler.report.text_layout import Name, columns, draw, section

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from rich.table import Table

    from assembler.report.build_record import BuildRecord, ImageReport
    from assembler.report.file_table import FileTable

FORMAT: Final = 1
_LARGEST: Final = 10


@dataclass(frozen=True, slots=True)
class Side:
    """``table`` is None where only a manifest was read; ``steps`` are the names that its rows point to."""

    name: str
    compressed: int
    uncompressed: int | None
    table: FileTable | None
    steps: tuple[str, ...]

    @classmethod
    def of(cls, name: str, record: BuildRecord, image: ImageReport) -> Side:
        sizes = [*(layer.uncompressed for layer in image.base), image.layer.uncompressed]
        whole = None if None in sizes else sum(size or 0 for size in sizes)
        return cls(name, image.compressed, whole, image.table, tuple(step.name for step in record.steps))


class Change(RecordPart):
    """Bytes, uncompressed; 0 where there was, or is, nothing."""

    name: str
    before: int
    after: int

    @property
    def growth(self) -> int:
        return self.after - self.before


class Totals(RecordPart):
    name: str
    compressed: int
    uncompressed: int | None = None


class Comparison(RecordPart):
    """``paths``, ``steps`` and ``packages`` hold what changed its size, the largest change first; None is unknown."""

    format: Literal[1] = FORMAT
    kind: Literal["comparison"] = "comparison"
    before: Totals
    after: Totals
    paths: tuple[Change, ...] | None = None
    steps: tuple[Change, ...] | None = None
    packages: tuple[Change, ...] | None = None


def compare(before: Side, after: Side) -> Comparison:
    ends = [
        Totals(name=side.name, compressed=side.compressed, uncompressed=side.uncompressed) for side in (before, after)
    ]
    one, other = before.table, after.table
    if one is None or other is None:
        return Comparison(before=ends[0], after=ends[1])
    return Comparison(
        before=ends[0],
        after=ends[1],
        paths=_changes(_by_path(one), _by_path(other)),
        steps=_changes(_by_step(one, before.steps), _by_step(other, after.steps)),
        packages=_changes(_by_package(one), _by_package(other)),
    )


def _by_path(table: FileTable) -> Counter[str]:
    return _sums((row.path, row.size) for row in table.rows())


def _by_step(table: FileTable, names: tuple[str, ...]) -> Counter[str]:
    return _sums(("before the first step" if row.step is None else names[row.step], row.size) for row in table.rows())


def _by_package(table: FileTable) -> Counter[str]:
    return _sums((row.package or "in no package", row.size) for row in table.rows())


def _sums(pairs: Iterable[tuple[str, int]]) -> Counter[str]:
    sums: Counter[str] = Counter()
    for name, size in pairs:
        sums[name] += size
    return sums


def _changes(before: Mapping[str, int], after: Mapping[str, int]) -> tuple[Change, ...]:
    changes = (
        Change(name=name, before=before.get(name, 0), after=after.get(name, 0)) for name in {**before, **after}
    )
    return tuple(sorted((change for change in changes if change.growth), key=lambda one: (-abs(one.growth), one.name)))


def render_comparison(comparison: Comparison, width: int = 80, color: bool = False) -> str:
    parts: list[RenderableType] = [_totals(comparison)]
    for title, changes in (
        ("By path", comparison.paths), ("By step", comparison.steps), ("By package", comparison.packages)
    ):  # fmt: skip
        if changes:
            parts.append(section(title, _rows(changes)))
        elif changes is not None and title == "By path":
            parts.append(Text("\nno file changed in size", "dim"))
    if comparison.paths is None:
        parts.append(Text("\nonly the manifests were read; --deep reads the layers too", "dim"))
    return draw(Group(*parts), width, color)


def _totals(comparison: Comparison) -> Table:
    table = columns("", "before", "after", "change")
    before, after = comparison.before, comparison.after
    change = _signed(after.compressed - before.compressed)
    table.add_row("compressed", human(before.compressed), human(after.compressed), change)
    if before.uncompressed is not None and after.uncompressed is not None:
        change = _signed(after.uncompressed - before.uncompressed)
        table.add_row("unpacked", human(before.uncompressed), human(after.uncompressed), change)
    return table


def _rows(changes: tuple[Change, ...]) -> Table:
    table = columns("", "before", "after", "change")
    for change in changes[:_LARGEST]:
        sizes = (human(size) if size else "" for size in (change.before, change.after))
        style = "red" if change.growth > 0 else "green"
        table.add_row(Name(change.name), *sizes, Text(_signed(change.growth), style))
    if len(changes) > _LARGEST:
        rest = changes[_LARGEST:]
        table.add_row(Text(f"and {len(rest)} more", "dim"), "", "", _signed(sum(change.growth for change in rest)))
    return table


def _signed(size: int) -> str:
    return f"+{human(size)}" if size > 0 else human(size)
