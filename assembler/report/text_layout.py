"""Pieces of text reports: plain lines for a terminal, a pipe or a CI log, no boxes, never wider than they may be."""

from __future__ import annotations

import re
from io import StringIO
from typing import TYPE_CHECKING, Final

from rich.cells import cell_len, chop_cells
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.measure import Measurement
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from assembler.model.printable import printable
from assembler.model.size import human
from assembler.report.record_part import counted

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from assembler.report.hints import Hint

_WORD: Final = re.compile(r"[^/ ]+[/ ]?|[/ ]")
_INDENT: Final = 2


def draw(content: RenderableType, width: int, color: bool) -> str:
    """Lines without trailing blanks; escape sequences only with ``color``."""
    console = Console(
        file=StringIO(), width=width, force_terminal=color, color_system="standard" if color else None,
        no_color=not color, highlight=False, legacy_windows=False, _environ={},
    )  # fmt: skip
    with console.capture() as capture:
        console.print(content)
    return "\n".join(line.rstrip() for line in capture.get().splitlines()) + "\n"


class Name:
    """A path or another long name: it is broken behind a slash or a blank, within a word only where that is longer than
    the line. What goes on is indented."""

    def __init__(self, text: str) -> None:
        self._text = printable(text)

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        words = max((cell_len(word) for word in _WORD.findall(self._text)), default=0)
        return Measurement(min(words + _INDENT, options.max_width), min(cell_len(self._text), options.max_width))

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield Text("\n".join(self._lines(options.max_width)), no_wrap=True, overflow="crop")

    def _lines(self, width: int) -> Iterator[str]:
        line = ""
        for word in _WORD.findall(self._text):
            if line.strip() and cell_len(line + word.rstrip()) > width:
                yield line
                line = " " * _INDENT
            while cell_len(line + word.rstrip()) > width > _INDENT + 1:
                piece = chop_cells(word, width - cell_len(line))[0]
                yield line + piece
                line, word = " " * _INDENT, word[len(piece) :]
            line += word
        yield line


def section(title: str, *content: RenderableType) -> Group:
    return Group(Text(), Text(title, "bold"), *(Padding(part, (0, 0, 0, 2)) for part in content))


def columns(*names: str) -> Table:
    """The first column gives way when there is no room; the others hold figures."""
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, show_header=any(names), header_style="dim")
    for index, name in enumerate(names):
        table.add_column(name, justify="right" if index else "left", no_wrap=index > 0, overflow="fold")
    return table


def listing() -> Table:
    """Rows of a size and what has it."""
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, show_header=False)
    table.add_column(justify="right", no_wrap=True)
    table.add_column(ratio=1)
    return table


def hint_rows(found: Iterable[Hint]) -> Table:
    rows = listing()
    for hint in found:
        about = f", about {human(hint.compressed)} compressed" if hint.compressed is not None else ""
        told = f"{counted(hint.files, 'file')}{about}: {hint.sentence}"
        rows.add_row(human(hint.bytes), Group(Text(printable(told)), Name(f"such as {hint.examples[0]}")))
    return rows


def size_or_blank(size: int | None) -> str:
    return "" if size is None else human(size)


def first_of(names: Sequence[str]) -> str:
    """``install``, ``install and test``, ``install and 2 more``."""
    return " and ".join(names if len(names) <= 2 else [names[0], f"{len(names) - 1} more"])


def duration(seconds: float) -> str:
    """``4.2s``, ``3m 07s``, ``1h 02m``."""
    if seconds < 59.95:
        return f"{seconds:.1f}s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}m {rest:02d}s" if minutes < 60 else f"{minutes // 60}h {minutes % 60:02d}m"
