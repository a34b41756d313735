"""The life of the process: signals, standard streams and errors, from the first line to the exit code.

This is imported before anything else, and imports next to nothing itself.
"""

from __future__ import annotations

import gc
import sys
from typing import TYPE_CHECKING, Any, NoReturn

from assembler.cli import signals, standard_streams

if TYPE_CHECKING:
    from collections.abc import Callable

    from assembler.errors import ImgasmError

_CLOSED_PIPE = 128 + 13
"""What a shell shows for a program that SIGPIPE ended, as it ends others that write where nobody reads."""


def guarded(command: Callable[[], object]) -> NoReturn:
    """Runs ``command`` and ends the process. Nothing but this decides about exit codes, and no traceback gets out."""
    signals.leave_at_once()
    standard_streams.mend()
    try:
        status = _status(command)
        standard_streams.flush()
    except BaseException as error:
        signals.leave_at_once()  # what was to be tidied up is tidied up
        status = _told(error)
    standard_streams.give_up()
    signals.default()
    gc.freeze()  # else Python looks for cycles in all that is loaded before it ends: a tenth of a short command
    sys.exit(status)


def _status(command: Callable[[], object]) -> int:
    try:
        command()
    except SystemExit as done:
        return done.code if isinstance(done.code, int) else int(done.code is not None)
    return 0


def _told(error: BaseException) -> int:
    """Tells the user, and returns the exit code. Called once, so that imports here may cost time."""
    from assembler.cli.terminal import Terminal
    from assembler.errors import ImgasmError, of_system

    if isinstance(error, standard_streams.PipeClosed):
        return _CLOSED_PIPE
    if isinstance(error, signals.Signalled):
        Terminal().say("; ".join([error.what, *getattr(error, "__notes__", ())]))
        return error.exit_code
    if isinstance(error, OSError | MemoryError):
        error = of_system(error)
    if isinstance(error, ImgasmError):
        Terminal().fail(error)
        return error.exit_code
    return _of_click(error)


def _of_click(error: BaseException) -> int:
    """Click's own errors and exits. Typer may carry its own copy of Click, so they are known by what they can do."""
    from assembler.cli.terminal import Terminal

    kind = type(error).__name__
    if kind == "Exit":
        return int(getattr(error, "exit_code", 0))
    if kind == "NoArgsIsHelpError":
        sys.stderr.write(f"{error.format_message()}\n")  # type: ignore[attr-defined]
        return 2
    if isinstance(error, KeyboardInterrupt) or kind == "Abort":
        return 128 + (signals.SIGHUP if signals.terminal_is_gone() else signals.SIGINT)
    told = _usage(error) if hasattr(error, "format_message") else _fault(error)
    Terminal().fail(told)
    return told.exit_code


def _usage(error: Any) -> ImgasmError:
    from assembler.errors import UsageError

    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else "imgasm"
    return UsageError(error.format_message().rstrip("."), hint=f"`{command} --help` lists what it takes.")


def _fault(error: BaseException) -> ImgasmError:
    """What nobody foresaw: where it happened is for those who mend it."""
    import traceback

    from assembler.errors import ImgasmError
    from assembler.version import __version__

    return ImgasmError(
        f"this is a bug in imgasm {__version__}: {type(error).__name__}: {error}",
        detail="".join(traceback.format_exception(error)),
        hint="Please report it with the lines above and the command.",
    )
