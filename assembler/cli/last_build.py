"""The last build of a directory: the one that was started last with this directory as the working directory.

It is noted before a build begins, and noted as done when it is: whatever ends a build in between, a step or a kill -9,
leaves the note of a build that did not succeed, and not that of the one before.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from assembler.errors import ImgasmError, UsageError
from assembler.locks import exclusive, shared

if TYPE_CHECKING:
    from assembler.progress import Progress

_NOTE: Final = Path("build", ".last-build")
"""Beside the builds themselves, which go to ``build/`` by default. Read and written with a lock on it."""

_NAME_ONE: Final = "Name a build's directory"


def begin(recipe: str, progress: Progress) -> str:
    """The id of a new build, which from here on is the last one of this directory, and has not succeeded."""
    from assembler.commands.job import new_build_id

    build = new_build_id()
    try:
        _NOTE.parent.mkdir(exist_ok=True)
        with exclusive(_NOTE) as file:
            _write(file, {"recipe": recipe, "build": build})
    except (OSError, ImgasmError) as error:
        told = error.message if isinstance(error, ImgasmError) else error.strerror
        progress.warn(f"this build can't be noted as the last one in this directory: {told}; "
                      "push, load, verify and size-report need its name")
    return build


def finish(build: str, output: Path) -> None:
    """``build`` has succeeded: its layout is ``output``. Of two builds at once the one that began last counts."""
    try:
        with exclusive(_NOTE) as file:
            note = _read(file)
            if note.get("build") == build:
                _write(file, {**note, "output": str(output)})
    except (OSError, ImgasmError):
        pass  # the note stays that of a build that did not succeed; the beginning has warned of such a directory


def what_next(output: str | Path) -> str:
    return f"the image is in {output}; imgasm push puts it into a registry, imgasm load into the local engine"


def last_id() -> str:
    """The id of this directory's last build, however it ended. UsageError where there was none."""
    build = (_note() or {}).get("build")
    if not isinstance(build, str):
        raise UsageError("No build has been made in this directory.",
                         hint="Name a build or its container: imgasm clean lists those that were kept.")
    return build


def last_build(progress: Progress) -> Path:
    """The layout of the last build of this directory. It is named before anything is done with it.

    UsageError when there is none, or it did not succeed.
    """
    note = _note()
    if note is None:
        raise UsageError("No build has been made in this directory.",
                         hint=f"{_NAME_ONE}, or run imgasm build RECIPE first.")
    recipe, output = note.get("recipe", "?"), note.get("output")
    if not isinstance(output, str):
        raise UsageError(
            f"The last build in this directory, of {recipe}, did not succeed, so there is nothing to use.",
            hint=f"It failed, was interrupted, or still runs. {_NAME_ONE}, or build again.",
        )
    if not Path(output).is_dir():
        raise UsageError(f"The last build in this directory, {output}, is gone.",
                         hint=f"{_NAME_ONE}, or build again.")
    progress.say(f"using the last build in this directory: {output} (of {recipe})")
    return Path(output)


def _note() -> dict[str, Any] | None:
    """None when there is no note."""
    try:
        with shared(_NOTE) as file:
            return _read(file)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise UsageError(f"{_NOTE}, which tells the last build in this directory, can't be read: {error.strerror}",
                         hint=f"{_NAME_ONE}.") from error


def _read(file: int) -> dict[str, Any]:
    """What is not whole was written by a build that was killed while it began or ended."""
    try:
        note = json.loads(os.pread(file, 1 << 16, 0))
    except ValueError:
        return {}
    return note if isinstance(note, dict) else {}


def _write(file: int, note: dict[str, Any]) -> None:
    os.ftruncate(file, 0)
    os.pwrite(file, json.dumps(note).encode() + b"\n", 0)
