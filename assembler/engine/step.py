"""Running one command in the container: its output as it comes, its end explained.

python-on-whales' ``execute(stream=True)`` is unfit here: it keeps all of stderr, waits for newlines that progress bars
never send, takes a program's words for the engine's, and fails on bytes that are not UTF-8.
"""

from __future__ import annotations

import os
import re
import select
import signal
import subprocess
import time
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from assembler.engine.client_process import in_memory
from assembler.engine.output_lines import Lines
from assembler.engine.running import Exec
from assembler.errors import StepFailed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import PurePosixPath

    from assembler.engine.running import Running
    from assembler.model.secrets import Secrets

ONE_STREAM: Final = ("/bin/sh", "-c", 'exec "$@" 2>&1', "sh")
"""Engines carry output and errors apart and lose their order; inside the container it can still be kept."""

ONE_STREAM_AFTER_INPUT: Final = ("/bin/sh", "-c", 'eval "$(cat)" && exec "$@" 2>&1 </dev/null', "sh")
"""The same, with variables that come as :func:`assignments` on standard input: of an ``--env``, every process list
would show the value."""

_SHOWN: Final = 40
"""Lines of a failed command's output in the error."""


_LOOK_UP: Final = 0.5
"""Seconds."""


class TimedOut(Exception):
    """The command did not end in time; what it started in the container still runs."""


@dataclass(frozen=True, slots=True)
class Command:
    """``name`` is the step's, for messages. ``timeout`` in seconds; None means as long as it takes.

    ``user`` None is root, ``workdir`` None is ``/``, whatever the base image says. ``hidden_env`` are variables whose
    values no process list may show; a shell must be able to set them.
    """

    name: str
    argv: Sequence[str]
    env: Mapping[str, str]
    workdir: PurePosixPath | None = None
    user: str | None = None
    timeout: float | None = None
    hidden_env: Mapping[str, str] = field(default_factory=dict)

    def hiding(self, secrets: Secrets) -> Command:
        """The same, with the variables that ``secrets`` touch among the hidden ones."""
        hidden = {key: value for key, value in self.env.items() if secrets.touches(value)}
        plain = {key: value for key, value in self.env.items() if key not in hidden}
        return replace(self, env=plain, hidden_env={**self.hidden_env, **hidden})

    @property
    def words(self) -> list[str]:
        """What is to run in the container."""
        return [*(ONE_STREAM_AFTER_INPUT if self.hidden_env else ONE_STREAM), *self.argv]

    @property
    def how(self) -> Exec:
        return Exec(self.env, self.workdir, self.user, reads=bool(self.hidden_env))


def assignments(env: Mapping[str, str]) -> bytes:
    """What a shell evaluates to have ``env`` (POSIX, "Single-Quotes")."""
    quoted = ((key, value.replace("'", "'\\''")) for key, value in env.items())
    return "".join(f"export {key}='{value}'\n" for key, value in quoted).encode()


@contextmanager
def shell_in(
    container: Running, command: Command, *, terminal: bool
) -> Iterator[tuple[list[str], tuple[int, ...]]]:
    """The words that run ``command`` in ``container`` for a person, and the open files that they inherit.

    Hidden variables come from a file that has no name on any disk; they can't have line ends there, so those that have
    are left out.
    """
    lines = [f"{key}={value}\n" for key, value in command.hidden_env.items() if "\n" not in value]
    with open(os.memfd_create("environment"), "w+", encoding="utf-8") as file:
        file.writelines(lines)
        file.flush()
        file.seek(0)
        hidden = f"/proc/self/fd/{file.fileno()}" if lines else None
        how = Exec(command.env, command.workdir, command.user, hidden, reads=True, terminal=terminal)
        yield container.exec(command.argv, how), (file.fileno(),)


def follow(argv: Sequence[str], lines: Lines, timeout: float | None, given: bytes = b"") -> int:
    """Runs ``argv``, hands its output to ``lines``, and returns its exit status, or raises :class:`TimedOut`.

    ``given`` is its standard input; it is in memory only.
    """
    deadline = None if timeout is None else time.monotonic() + timeout
    with in_memory(given) as stdin:
        process = subprocess.Popen(argv, stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                   start_new_session=True)
    assert process.stdout is not None
    try:
        while chunk := _read(process.stdout.fileno(), deadline):
            lines.feed(chunk)
        return process.wait()
    finally:
        lines.close()
        process.kill()
        process.stdout.close()
        process.wait()


def _read(pipe: int, deadline: float | None) -> bytes:
    """What there is, when there is something; empty at the end.

    Python runs a signal's handler between two system calls. A Ctrl-C that comes just before a call is not seen until
    that call returns, so none may last as long as a silent step does.
    """
    while True:
        left = _LOOK_UP if deadline is None else max(0.0, deadline - time.monotonic())
        if select.select([pipe], [], [], min(left, _LOOK_UP))[0]:
            return os.read(pipe, 1 << 16)
        if left < _LOOK_UP:
            raise TimedOut


def failure(command: Command, status: int, tail: Sequence[str], trouble: str | None) -> StepFailed:
    """``trouble`` is what the engine knows of the container itself: out of memory, stopped."""
    error = StepFailed(
        f"step {command.name!r} {_ending(status)}{f': {trouble}' if trouble else ''}",
        hint=_hint(status, trouble, tail),
        detail="\n".join(list(tail)[-_SHOWN:]) or "(it printed nothing)",
    )
    if (told := script_line(command.argv, tail)) is not None:
        error.add_note(f"line {told[0]} of its script: {told[1]}")
    return error


def script_line(argv: Sequence[str], tail: Sequence[str]) -> tuple[int, str] | None:
    """The number and text of the line of the script, the last of ``argv``, that its shell complained about last.

    dash writes ``/bin/sh: 3: x: not found``, bash ``/bin/bash: line 3: x: command not found``. None where a shell tells
    no line, or one that does not hold what it complains about: busybox counts a script's lines from 0.
    """
    told = re.compile(rf"{re.escape(argv[0])}: (?:-c: )?(?:line )?([0-9]+): ([^:]*)")
    matches = [match for match in map(told.match, tail) if match]
    if not matches:
        return None
    number, subject, lines = int(matches[-1][1]), matches[-1][2], argv[-1].split("\n")
    if not 0 < number <= len(lines) or not (subject in lines[number - 1] or subject.lower().startswith("syntax error")):
        return None
    return number, lines[number - 1].strip()


def timeout_failure(command: Command, tail: Sequence[str]) -> StepFailed:
    return StepFailed(
        f"step {command.name!r} took longer than its timeout of {command.timeout:g} s; "
        "everything it had started was killed",
        hint="Raise the step's timeout, or find out what it waits for in its last lines.",
        detail="\n".join(list(tail)[-_SHOWN:]) or "(it printed nothing)",
    )


def _ending(status: int) -> str:
    if status > 128:
        try:
            return f"was killed by {signal.Signals(status - 128).name} (status {status})"
        except ValueError:
            pass  # no signal has that number: the program's own status
    return f"ended with status {status}"


def _hint(status: int, trouble: str | None, tail: Sequence[str]) -> str:
    if any("mknod" in line and "Operation not permitted" in line for line in tail):
        return ("Device nodes need the capability MKNOD, which podman 5 does not give by itself: set "
                'cap_add = ["MKNOD"] in [container]. '
                "In a user namespace (rootless, userns-remap) nobody can make them.")
    if status == 128 + signal.SIGKILL and trouble is None:
        return "Most likely the kernel ran out of memory: run fewer jobs in parallel (make -j2)."
    if status == 127:
        return "127 means that a command was not found: is its package installed, is it in PATH?"
    if status == 126:
        return "126 means that a file was found but can't be executed: its mode, its #! line, or its architecture."
    return "The last lines of its output are above."
