"""What an imported recipe does not do as the Dockerfile did: said line by line, so that nobody has to find out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any


class Kind(StrEnum):
    """``CHANGED`` is done in another way, or leaves other files; ``TODO`` is for the reader to do."""

    CHANGED = "changed"
    TODO = "to do"


@dataclass(frozen=True, slots=True)
class Remark:
    """``line`` is the Dockerfile's, 0 for all of it."""

    kind: Kind
    line: int
    text: str


@dataclass(slots=True)
class Verdict:
    """``instructions`` counts all, comments not."""

    instructions: int = 0
    stages: int = 0
    remarks: list[Remark] = field(default_factory=list)
    advice: str = ""

    def changed(self, line: int, text: str) -> None:
        self._add(Remark(Kind.CHANGED, line, text))

    def todo(self, line: int, text: str) -> None:
        self._add(Remark(Kind.TODO, line, text))

    def _add(self, remark: Remark) -> None:
        if remark not in self.remarks:  # a stage that others build on is read again for each of them
            self.remarks.append(remark)

    @property
    def headline(self) -> str:
        todo = sum(remark.kind is Kind.TODO for remark in self.remarks)
        if todo:
            return f"{todo} {'thing needs' if todo == 1 else 'things need'} your hand before the image is the same"
        if self.remarks:
            return "the image is the same, but for what is said above"
        return "the image is the same"

    def lines(self) -> Iterator[str]:
        yield f"{self.instructions} instructions in {self.stages} stage{'s' * (self.stages != 1)}"
        width = max((len(remark.kind) for remark in self.remarks), default=0)
        for remark in sorted(self.remarks, key=lambda remark: remark.line):
            where = f"line {remark.line}" if remark.line else "all"
            yield f"  {remark.kind:{width}}  {where:8}  {remark.text}"
        yield f"verdict: {self.headline}"
        if self.advice:
            yield self.advice

    def to_json(self) -> dict[str, Any]:
        return {"instructions": self.instructions, "stages": self.stages, "verdict": self.headline,
                "advice": self.advice, "remarks": [asdict(remark) for remark in self.remarks]}  # fmt: skip
