"""What became of a matrix, as ``imgasm matrix --json`` prints it."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from assembler.report.record_part import RecordPart, counted


class CellReport(RecordPart):
    """One build. ``kept``: the registry has an image of the same inputs, so nothing was built. Times are seconds.

    ``exit_code`` is that of a cell that failed, None where nobody knows how it ended; ``log`` is a path on the
    collector's machine, and ``last_lines`` are its last ones.
    """

    key: str
    values: dict[str, str]
    outcome: Literal["built", "kept", "failed"]
    reference: str
    digest: str | None = None
    host: str = ""
    seconds: float = 0
    attempts: int = 1
    exit_code: int | None = None
    error: str | None = None
    log: str | None = None
    last_lines: tuple[str, ...] = ()

    @property
    def sentence(self) -> str:
        """For people."""
        if self.outcome == "failed":
            times = f" ({counted(self.attempts, 'attempt')})" if self.attempts > 1 else ""
            return f"{self.key}: failed{times}: {self.error}; {self.log}"
        how = f"built in {self.seconds:.1f} s" if self.outcome == "built" else "stands"
        return f"{self.key}: {how} on {self.host}, {self.digest}"


class FleetReport(RecordPart):
    """``index`` is the reference of the index over all images of the plan that are there, ``digest`` its digest; None
    where there is no image. ``entries`` counts its images."""

    format: Literal[1] = 1
    kind: Literal["fleet"] = "fleet"
    cells: tuple[CellReport, ...] = Field(default=())
    index: str
    digest: str | None = None
    entries: int = 0

    def count(self, outcome: str) -> int:
        return sum(cell.outcome == outcome for cell in self.cells)

    @property
    def failed(self) -> list[CellReport]:
        return [cell for cell in self.cells if cell.outcome == "failed"]

    @property
    def summary(self) -> str:
        counts = ", ".join(f"{number} {outcome}" for outcome in ("built", "kept", "failed")
                           if (number := self.count(outcome)))  # fmt: skip
        told = f"{self.digest}  {counted(self.entries, 'image')}" if self.digest else "there is no image yet"
        return f"{self.index}  {told} ({counts or 'nothing to do'})"
