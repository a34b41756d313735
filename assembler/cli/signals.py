"""Signals that end the program: at once while nothing has begun, in good order once there is something to tidy up."""

from __future__ import annotations

import os
import select
import signal
import stat
import sys
from signal import SIGHUP, SIGINT
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from types import FrameType

__all__ = ["SIGHUP", "SIGINT", "Signalled", "default", "leave_at_once", "terminal_is_gone", "tidy_up_first"]

_NAMES = {
    SIGINT: "interrupted", signal.SIGTERM: "terminated", SIGHUP: "the terminal was closed", signal.SIGQUIT: "quit",
}  # fmt: skip


class Signalled(BaseException):
    """A signal as an exception that nobody catches, so that the container goes away on the way out."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number

    @property
    def what(self) -> str:
        return _NAMES[signal.Signals(self.number)]

    @property
    def exit_code(self) -> int:
        """128 plus the signal's number, as shells have it."""
        return 128 + self.number


def terminal_is_gone() -> bool:
    """Whether standard input is a terminal that was closed. Its readers are woken just before SIGHUP is sent, so a
    prompt may end first, and looks as if the user had given up."""
    if not stat.S_ISCHR(os.fstat(0).st_mode):
        return False
    watch = select.poll()
    watch.register(0, select.POLLIN)
    return any(event & select.POLLHUP for _, event in watch.poll(0))


def leave_at_once() -> None:
    """Signals end the process where it stands. No exception is raised: import machinery may swallow one."""
    _handle(_leave)


def tidy_up_first() -> None:
    """From now on, signals are raised as :class:`Signalled`."""
    sys.unraisablehook = _raise_again
    _handle(_raise)


def default() -> None:
    """As Python found them: its own end must not be told about in tracebacks."""
    for number in _NAMES:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)


_ours: set[int] = set()
"""Signals that are ours to handle: whoever started the program may want others ignored (nohup)."""


def _handle(handler: signal._HANDLER) -> None:
    for number in _NAMES:
        if number in _ours or signal.getsignal(number) is not signal.SIG_IGN:
            _ours.add(number)
            signal.signal(number, handler)


def _leave(number: int, frame: FrameType | None) -> NoReturn:
    try:
        os.write(2, f"{Signalled(number).what}\n".encode())
    except OSError:
        pass  # nobody is there to be told
    os._exit(128 + number)


def _raise(number: int, frame: FrameType | None) -> NoReturn:
    _handle(signal.SIG_IGN)  # once is enough: the way out, which is bounded, must not be cut short
    raise Signalled(number)


def _raise_again(unraisable: sys.UnraisableHookArgs) -> None:
    """A signal that came while Python ran a destructor or a callback of the garbage collector, which let no exception
    out: it is sent again a moment later."""
    if isinstance(unraisable.exc_value, Signalled):
        _handle(_raise)
        import threading

        main = threading.main_thread().ident
        threading.Timer(0.02, signal.pthread_kill, [main, unraisable.exc_value.number]).start()
    else:
        sys.__unraisablehook__(unraisable)
