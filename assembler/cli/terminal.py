"""The terminal: results go to stdout, everything that happens on the way to stderr."""

from __future__ import annotations

import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn, TextIO

from assembler.cli import output
from assembler.cli.heartbeat import Heartbeat, RunningTask
from assembler.errors import RecipeError
from assembler.model.printable import printable
from assembler.model.secrets import mask_userinfo
from assembler.model.size import human

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tqdm import tqdm

    from assembler.errors import ImgasmError, Problem
    from assembler.progress import Task

_NOTE_WIDTH = 60
_RED, _YELLOW, _CYAN, _BOLD = "1;31", "33", "36", "1"


class Terminal:
    """A :class:`assembler.progress.Progress` that draws bars on a terminal and plain lines into a pipe or a log."""

    def __init__(self, stream: TextIO | None = None, *, verbose: bool = False, quiet: bool = False) -> None:
        self._stream = _Forgiving(stream or sys.stderr)
        self._verbose = verbose
        self._quiet = quiet
        self._draws = output.can_move(self._stream) and not quiet
        self._colors = output.is_colored(self._stream)
        self._bars = 0
        self._lock = threading.RLock()
        self._heart = Heartbeat(lambda text: self._line(_harmless(text)))

    def say(self, message: str) -> None:
        if not self._quiet:
            self._line(_harmless(message))

    def warn(self, message: str) -> None:
        self._line(f"{self._painted('warning:', _YELLOW)} {_harmless(message)}")

    def output(self, line: str) -> None:
        if self._verbose:
            self._line(f"  | {_harmless(line)}")

    @contextmanager
    def task(self, label: str, *, total: int | None = None, unit: str = "B") -> Iterator[Task]:
        if self._verbose and unit != "B":
            self.say(label)  # every line of output follows: a bar would only flicker among them
            yield RunningTask(label, total, unit)
        elif self._draws:
            with self._bar(label, total, unit) as bar:
                yield _Bar(bar)
        else:
            work = RunningTask(label, total, unit)
            with self._heart.beside(work):
                yield work

    def fail(self, error: ImgasmError) -> None:
        """An error as a person needs it: what is wrong, what was seen, what to do."""
        if isinstance(error, RecipeError) and error.problems:
            self._line(f"{self._painted('error:', _RED)} {_harmless(error.message)}")
            for problem in error.problems:
                self._problem(problem)
        else:
            for line in (error.detail or "").splitlines():
                self._line(f"  | {_harmless(line)}")
            self._line(f"{self._painted('error:', _RED)} {_harmless(error.message)}")
        for note in getattr(error, "__notes__", ()):
            self._line(f"note: {_harmless(note)}")
        if error.hint:
            self._line(f"{self._painted('hint:', _CYAN)} {_harmless(error.hint)}")

    def _problem(self, problem: Problem) -> None:
        """Its place in bold, so that many can be told apart; editors find ``file:line:column``."""
        where, _, rest = problem.headline.partition(": ")
        self._line(f"{self._painted(_harmless(where) + ':', _BOLD)} {_harmless(rest)}")
        if problem.marked is not None:
            quote, mark = problem.marked
            self._line(_harmless(quote))
            if mark.strip():
                self._line(self._painted(mark, _RED))

    def _painted(self, text: str, color: str) -> str:
        return f"\033[{color}m{text}\033[0m" if self._colors else text

    def _line(self, text: str) -> None:
        with self._lock:
            if self._bars:
                from tqdm import tqdm

                tqdm.write(text, file=self._stream)
            else:
                self._stream.write(text + "\n")
            self._stream.flush()

    @contextmanager
    def _bar(self, label: str, total: int | None, unit: str) -> Iterator[tqdm[NoReturn]]:
        from tqdm import tqdm

        how: dict[str, Any] = {"unit": "B", "unit_scale": True} if unit == "B" else {
            "bar_format": "{desc}  {elapsed}{postfix}"
        }  # fmt: skip
        known = output.has_width(self._stream)  # some terminals say that they have no columns
        how |= {"dynamic_ncols": True} if known else {"ncols": output.USUAL_WIDTH}
        with tqdm(desc=_harmless(label), total=total, file=self._stream, leave=False, **how) as bar:
            self._count(1)
            over = threading.Event()
            threading.Thread(target=_tick, args=(bar, over), daemon=True).start()
            try:
                yield bar
            finally:
                over.set()
                self._count(-1)

    def _count(self, more: int) -> None:
        with self._lock:
            self._bars += more


def _tick(bar: tqdm[NoReturn], over: threading.Event) -> None:
    """The clock beside a bar goes on while nothing else moves."""
    while not over.wait(1):
        bar.refresh()


class _Bar:
    def __init__(self, bar: tqdm[NoReturn]) -> None:
        self._bar = bar
        self._held = self._note = ""
        self._lock = threading.Lock()

    def advance(self, amount: int) -> None:
        with self._lock:
            self._bar.update(amount)

    def note(self, text: str) -> None:
        self._note = _harmless(text.strip())[:_NOTE_WIDTH] or self._note
        self._show()

    def holds(self, size: int) -> None:
        self._held = f"{human(size)} on disk"
        self._show()

    def _show(self) -> None:
        self._bar.set_postfix_str(", ".join(filter(None, (self._held, self._note))), refresh=False)


class _Forgiving:
    """Standard error whose reader may go away: then nobody is told anything, and the work goes on."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        try:
            return self._stream.write(text)
        except OSError:
            return len(text)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except OSError:
            pass

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _harmless(text: str) -> str:
    """What a step prints must not steer the user's terminal, nor show the passwords in its URLs."""
    return printable(mask_userinfo(text).replace("\t", " "), keep="\n", instead="?")
