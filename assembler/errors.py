"""Every error that imgasm shows to a user.

    ImgasmError
    ├── RecipeError        the recipe is wrong: file, table, key and what would be right
    ├── SourceError        a source could not be fetched, or is not what the recipe says
    ├── EngineError        the container engine is missing, refuses, or lacks room
    │   └── StepFailed     a step of the recipe ended with a status other than 0
    ├── ChangesetError     the container's files can not be read or stored in a layer
    ├── ImageError         a layout, archive or blob is not what it should be
    ├── RegistryError      a registry refused, or could not be reached
    ├── BudgetExceeded     the image is right, but larger than the recipe allows
    └── UsageError         the command line asks for something that can not be

Each class has an exit code of its own, so that scripts can decide without reading text.
"""

from __future__ import annotations


class ImgasmError(Exception):
    """One finished sentence that says what is wrong, and a hint that says what to do about it.

    ``detail`` holds lines that help to see why (a step's last output, a list of findings); it is printed between the
    message and the hint.
    """

    exit_code = 1

    def __init__(self, message: str, *, hint: str | None = None, detail: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.detail = detail


class UsageError(ImgasmError):
    """The command line asks for something that can not be (Click's own exit code for that is 2)."""

    exit_code = 2


class RecipeError(ImgasmError):
    exit_code = 3


class SourceError(ImgasmError):
    exit_code = 4


class EngineError(ImgasmError):
    exit_code = 5


class StepFailed(EngineError):
    exit_code = 6


class ChangesetError(ImgasmError):
    exit_code = 7


class ImageError(ImgasmError):
    exit_code = 8


class RegistryError(ImgasmError):
    exit_code = 9


class BudgetExceeded(ImgasmError):
    exit_code = 10


INTERRUPTED = 130
"""Exit code after Ctrl-C; SIGTERM gives 143. Both are 128 plus the signal's number, as shells have it."""
