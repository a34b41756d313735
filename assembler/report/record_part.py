"""What all parts of a record have in common."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class RecordPart(BaseModel):
    """Readers ignore keys that they do not know, so that a record of a later imgasm can still be read."""

    model_config = ConfigDict(frozen=True, extra="ignore")


def path_text(path: bytes) -> str:
    """``path`` with a leading slash, as people know it; bytes that are no UTF-8, and so no JSON, become ``\\xff``."""
    return "/" + path.decode("utf-8", "backslashreplace")


def counted(number: int, noun: str) -> str:
    plural = noun[:-1] + "ies" if noun.endswith("y") else noun + "s"
    return f"{number} {noun if number == 1 else plural}"
