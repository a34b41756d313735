"""The faces of a size report: what ``build`` and ``size-report`` print and write of it."""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from assembler.atomic_files import naming
from assembler.cli.output import emit, emit_drawn, emit_json
from assembler.cli.shared_options import Json
from assembler.errors import FileError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from assembler.report.build_record import BuildRecord


def _file(option: str, what: str) -> object:
    return typer.Option(option, metavar="FILE", dir_okay=False, help=what)


@dataclass(frozen=True)
class ReportOptions:
    """Which of them are wanted. Without ``as_json`` and ``markdown`` a table is printed."""

    html: Annotated[Path | None, _file("--html", "Write the report as one HTML page that works offline.")] = None
    svg: Annotated[
        Path | None, _file("--svg", "Write the timeline and the first image's treemap as a picture.")
    ] = None
    junit: Annotated[Path | None, _file("--junit", "Write the results of the budgets as JUnit XML.")] = None
    markdown: Annotated[bool, typer.Option("--markdown", help="Print a summary in Markdown, for CI systems.")] = False
    as_json: Json = False

    def __post_init__(self) -> None:
        if self.markdown and self.as_json:
            raise UsageError("--markdown and --json both print on standard output", hint="Give one of them.")

    def refuse_unwritable(self) -> None:
        """FileError for a file that can't be written: before a build, not when its hour is over."""
        for path in filter(None, (self.html, self.svg, self.junit)):
            there = path if path.exists() else path.parent
            if not os.access(there, os.W_OK):
                number = errno.EACCES if there.exists() else errno.ENOENT
                raise FileError.of(OSError(number, os.strerror(number), str(path)))

    def show(self, *records: BuildRecord, quiet: bool = False) -> None:
        """One build, or several into one layout, which can only be printed."""
        from assembler.report.build_records import Builds
        from assembler.report.build_text import render
        from assembler.report.ci_summary import markdown

        def table(width: int, color: bool) -> str:
            return "\n".join(render(record, width, color) for record in records)

        if len(records) == 1:
            self.show_as(records[0], records[0].model_dump_json, table, quiet=quiet)
            return
        self._refuse_files(records)
        if self.as_json:
            emit_json(Builds(builds=records).to_json(indent=1))
        elif self.markdown:
            emit("\n".join(markdown(record, record.broken) for record in records))
        elif not quiet:
            emit_drawn(table)

    def _refuse_files(self, records: Sequence[BuildRecord]) -> None:
        given = [name for name, file in (("--html", self.html), ("--svg", self.svg), ("--junit", self.junit)) if file]
        if given:
            names = ", ".join(image.name for record in records for image in record.images)
            raise UsageError(f"{' and '.join(given)}: a file shows one build, and the layout holds {len(records)}",
                             hint=f"Choose an image with --image: {names}.")

    def show_as(
        self, record: BuildRecord, as_json: Callable[..., str], table: Callable[[int, bool], str], *,
        quiet: bool = False,
    ) -> None:
        """``as_json`` and ``table`` tell more than ``record`` does, of which everything else is made. ``quiet`` leaves
        out the table."""
        from assembler.report.ci_summary import junit, markdown
        from assembler.report.html import page
        from assembler.report.picture import svg

        if self.html:
            _write(self.html, page(record))
        if self.svg:
            _write(self.svg, svg(record, record.images[0] if record.images else None))
        if self.junit:
            _write(self.junit, junit(record, record.checked, record.broken))
        if self.as_json:
            emit_json(as_json(indent=1))
        elif self.markdown:
            emit(markdown(record, record.broken))
        elif not quiet:
            emit_drawn(table)


def _write(path: Path, text: str) -> None:
    with naming(path):
        path.write_text(text, encoding="utf-8")
