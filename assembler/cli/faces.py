"""The faces of a size report: what ``build`` and ``size-report`` print and write of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from assembler.cli.show import drawn, emit
from assembler.errors import UsageError
from assembler.report.html import page
from assembler.report.svg import svg
from assembler.report.table import render
from assembler.report.verdict import junit, markdown

if TYPE_CHECKING:
    from collections.abc import Callable

    from assembler.report.record import BuildRecord

Html = Annotated[
    Optional[Path],  # noqa: UP045  Typer reads it at run time
    typer.Option("--html", metavar="FILE", help="Write the report as one page that needs no network."),
]
Svg = Annotated[
    Optional[Path],  # noqa: UP045
    typer.Option("--svg", metavar="FILE", help="Write the timeline and the first image's treemap as a picture."),
]
Markdown = Annotated[bool, typer.Option("--markdown", help="Print a summary in Markdown, for CI systems.")]
Junit = Annotated[
    Optional[Path],  # noqa: UP045
    typer.Option("--junit", metavar="FILE", help="Write the budgets' verdicts as JUnit XML."),
]


@dataclass(frozen=True, slots=True)
class Faces:
    """Which of them are wanted. Without ``json`` and ``markdown`` a table is printed, unless ``quiet``."""

    json: bool = False
    markdown: bool = False
    html: Path | None = None
    svg: Path | None = None
    junit: Path | None = None
    quiet: bool = False

    def show(self, record: BuildRecord) -> None:
        self.show_as(record, record.model_dump_json, lambda width, color: render(record, width, color))

    def show_as(
        self, record: BuildRecord, as_json: Callable[..., str], table: Callable[[int, bool], str]
    ) -> None:
        """``as_json`` and ``table`` tell more than ``record`` does, of which everything else is made."""
        if self.html:
            _write(self.html, page(record))
        if self.svg:
            _write(self.svg, svg(record, record.images[0] if record.images else None))
        if self.junit:
            _write(self.junit, junit(record, record.checked, record.broken))
        if self.json:
            emit(as_json(indent=1))
        elif self.markdown:
            emit(markdown(record, record.broken))
        elif not self.quiet:
            emit(drawn(table))


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        hint = "Name a file in a directory that is there."
        raise UsageError(f"{path} can't be written: {error.strerror}", hint=hint) from error
