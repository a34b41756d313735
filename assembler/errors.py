"""Every error that imgasm shows to a user.

    ImgasmError
    ├── RecipeError        the recipe is wrong: file, table, key and what would be right
    ├── SourceError        a source could not be fetched, or is not what the recipe says
    ├── EngineError        the container engine is missing, refuses, or lacks room
    │   └── StepFailed     a step of the recipe ended with a status other than 0
    ├── ChangesetError     the container's files can't be read or stored in a layer
    ├── ImageError         a layout, archive or blob is not what it should be
    ├── RegistryError      a registry refused, or could not be reached
    ├── BudgetExceeded     the image is right, but larger than the recipe allows
    ├── ModulesRefused     a kernel would not take the image's modules
    ├── CellsFailed        some builds of a matrix failed; the others are there
    ├── FileError          the operating system refuses a file, or standard output: full disk, missing permission
    └── UsageError         the command line asks for something that can't be

Each class has an exit code of its own, so that scripts can decide without reading text.
"""

from __future__ import annotations

import errno
import os
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence


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

    def __reduce__(self) -> tuple[object, ...]:
        """An error reaches the process that waits for a worker as it was raised, whatever its class is made from."""
        return _same, (type(self), self.args), self.__dict__

    def mask(self, mask: Callable[[str], str]) -> None:
        """Sends everything that the error says through ``mask``."""
        self.message, self.args = mask(self.message), (mask(self.message),)
        self.hint = self.hint and mask(self.hint)
        self.detail = self.detail and mask(self.detail)
        self.__notes__ = [mask(note) for note in getattr(self, "__notes__", ())]


def _same(kind: type[ImgasmError], args: tuple[object, ...]) -> ImgasmError:
    error = kind.__new__(kind)
    error.args = args
    return error


@contextmanager
def masked(mask: Callable[[str], str]) -> Iterator[None]:
    """No error leaves this context but through ``mask``."""
    try:
        yield
    except ImgasmError as error:
        error.mask(mask)
        raise


def of_system(error: OSError | MemoryError) -> ImgasmError:
    """What the operating system or Python itself refuses, as an error of imgasm."""
    if isinstance(error, OSError):
        return FileError.of(error)
    return ImgasmError("there is not enough memory", hint="Close other programs, or build on a larger machine.")


@contextmanager
def own_errors() -> Iterator[None]:
    """No error of the operating system leaves this context but as an ImgasmError."""
    try:
        yield
    except (OSError, MemoryError) as error:
        raise of_system(error) from error


class UsageError(ImgasmError):
    """The command line asks for something that can't be (Click's own exit code for that is 2)."""

    exit_code = 2


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake in a recipe.

    ``where`` is ``file:line:column``, or the option that it came with; ``what`` the table and key, if there are any.
    ``quote`` is the recipe's line, of which ``width`` characters from ``column`` on (the first is 0) are what is wrong.
    """

    where: str
    what: str
    message: str
    quote: str = ""
    column: int = 0
    width: int = 0

    @property
    def headline(self) -> str:
        return ": ".join(filter(None, (self.where, self.what, self.message)))

    @property
    def marked(self) -> tuple[str, str] | None:
        """The quoted line, and a line to stand below it; None where there is nothing to quote."""
        return (f"    {self.quote}", "    " + " " * self.column + "^" * self.width) if self.quote else None


class RecipeError(ImgasmError):
    """``problems`` say where the recipe is wrong; ``detail`` has them as plain lines."""

    exit_code = 3

    def __init__(self, message: str, *, hint: str | None = None, problems: Sequence[Problem] = ()) -> None:
        lines = [line for one in problems for line in (one.headline, *(one.marked or ()))]
        super().__init__(message, hint=hint, detail="\n".join(map(str.rstrip, lines)) or None)
        self.problems = tuple(problems)


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


class ModulesRefused(ImgasmError):
    exit_code = 12


class CellsFailed(ImgasmError):
    exit_code = 13


class FileError(ImgasmError):
    exit_code = 11

    @classmethod
    def of(cls, error: OSError, what: str | None = None) -> FileError:
        """``what`` names what was read or written, by default the file that ``error`` names."""
        named = what or (os.fsdecode(error.filename) if isinstance(error.filename, str | bytes) else "")
        reason = error.strerror or str(error) or type(error).__name__
        return cls(f"{named}: {reason}" if named else reason, hint=_REMEDIES.get(error.errno or 0))


_ROOM: Final = "Free some space there, or write to another place: --output, IMGASM_CACHE and TMPDIR choose one."
_PERMISSION: Final = "Check who owns the file and its directory, or run this as a user who may use them."

_REMEDIES: Final = {
    errno.ENOSPC: _ROOM,
    errno.EDQUOT: _ROOM,
    errno.EACCES: _PERMISSION,
    errno.EPERM: _PERMISSION,
    errno.EROFS: "The file system is mounted read-only; choose another place.",
    errno.ENOENT: "Check the spelling. A directory that a file goes into must exist.",
    errno.ENOTDIR: "A part of this path is a file, not a directory; check the spelling.",
    errno.EISDIR: "This is a directory; name a file.",
    errno.ENOTEMPTY: "This directory has files in it; remove it, or choose another place.",
    errno.ENAMETOOLONG: "The file system takes no names this long; choose a shorter path.",
    errno.EMFILE: "Raise the limit on open files (ulimit -n) and run this again.",
    errno.ENFILE: "Too many files are open on this machine; run this again later.",
    errno.EFBIG: "The file is larger than this user (ulimit -f) or the file system allows.",
    errno.EIO: "The disk or network file system reports an error; look at the kernel's log (dmesg).",
    errno.EBADF: "It is closed; redirect it to a file or to /dev/null.",
}
"""What to do about errors of the operating system."""
