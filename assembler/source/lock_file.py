"""The lock file beside a recipe: the digest of each source that the recipe itself does not pin.

It is JSON, sorted, one value a line, so that version control shows what changed. Sources are named as the recipe writes
them, with variables replaced: the file is the same on every machine, and can hold the sources of several ``--set``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from assembler.atomic_files import replace_file
from assembler.errors import SourceError
from assembler.locks import exclusive_directory
from assembler.model.secrets import without_userinfo


@dataclass(frozen=True, slots=True)
class Pin:
    """``sha256`` is 64 hex digits, ``size`` in bytes."""

    sha256: str
    size: int


class _Pin(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    size: Annotated[int, Field(ge=0)]


class _Lock(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    sources: dict[str, _Pin]
    version: Literal[1]


def lock_path(recipe: Path) -> Path:
    return recipe.with_suffix(".lock")


def read(path: Path) -> dict[str, Pin]:
    """The pins by source; none if there is no lock file. Raises SourceError.

    User names and passwords in its URLs are not taken over: the next pin writes the file without them.
    """
    try:
        lock = _Lock.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise SourceError(f"the lock file {path} can't be read: {error.strerror}") from error
    except ValidationError as error:
        raise SourceError(
            f"{path} is not a lock file of imgasm",
            detail="\n".join(f"{'.'.join(map(str, found['loc']))}: {found['msg']}" for found in error.errors()),
            hint="Restore it from version control, or delete it and run `imgasm lock`.",
        ) from error
    return {without_userinfo(source): Pin(pin.sha256, pin.size) for source, pin in lock.sources.items()}


def add(path: Path, pins: Mapping[str, Pin]) -> None:
    """Writes ``pins`` beside those that are there, also those that another build writes at the same time; readers see
    the old file or the new one, never a part."""
    with exclusive_directory(path.parent):
        merged = {**read(path), **pins}
        sources = {source: {"sha256": pin.sha256, "size": pin.size} for source, pin in sorted(merged.items())}
        text = json.dumps({"sources": sources, "version": 1}, indent=2, ensure_ascii=False) + "\n"
        replace_file(path, text.encode())
