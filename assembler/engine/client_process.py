"""Running the engine's own client where python-on-whales can't: big binary streams, and output as it comes.

python-on-whales 0.81 holds whole outputs in memory, exports and saves only to paths, and copies by text (measured). All
commands here run in a session of their own: Ctrl-C in a terminal reaches imgasm alone, which then ends them in order.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, BinaryIO

from assembler.engine.output_lines import Lines
from assembler.engine.refusal import explain
from assembler.errors import ImgasmError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from assembler.layer.read_tar import Readable

_CHUNK = 1 << 20


def ask(argv: Sequence[str], what: str, *, timeout: float | None = 120) -> str:
    """The command's whole output, for short answers. ``timeout`` in seconds; None waits as long as it takes."""
    try:
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout, check=False,
                              start_new_session=True)
    except subprocess.TimeoutExpired as error:
        raise explain(what, f"no answer within {timeout:.0f} s") from error
    if done.returncode:
        raise explain(what, _text(done.stderr))
    return _text(done.stdout)


@contextmanager
def reading(argv: Sequence[str], what: str) -> Iterator[BinaryIO]:
    """The command's standard output as a stream; its exit status is checked when the context ends.

    What the reader leaves is drained, because a tar reader stops before the last padding.
    """
    with tempfile.TemporaryFile() as stderr, _process(argv, stdout=subprocess.PIPE, stderr=stderr) as process:
        assert process.stdout is not None
        try:
            yield process.stdout  # type: ignore[misc]  # a BufferedReader is a BinaryIO in all but name
        except ImgasmError:
            if not process.stdout.read(1):
                _check(process, stderr, what)  # a command that failed says more than what became of half a stream
            raise
        while process.stdout.read(_CHUNK):
            pass
        _check(process, stderr, what)


def feed(argv: Sequence[str], stream: Readable, what: str) -> str:
    """Gives ``stream`` to the command's standard input, chunk by chunk, and returns what it printed."""
    with (tempfile.TemporaryFile() as stdout, tempfile.TemporaryFile() as stderr,
          _process(argv, stdin=subprocess.PIPE, stdout=stdout, stderr=stderr) as process):
        assert process.stdin is not None
        try:
            while chunk := stream.read(_CHUNK):
                process.stdin.write(chunk)
            process.stdin.close()
        except BrokenPipeError:
            pass  # the command gave up; why is in its stderr
        _check(process, stderr, what)
        stdout.seek(0)
        return _text(stdout.read())


def follow(argv: Sequence[str], on_line: Callable[[str], None], what: str) -> None:
    """Runs the command and hands on each line of its output as it comes."""
    lines = Lines(on_line)
    with tempfile.TemporaryFile() as stderr, _process(argv, stdout=subprocess.PIPE, stderr=stderr) as process:
        assert process.stdout is not None
        while chunk := process.stdout.read1(_CHUNK):  # type: ignore[attr-defined]
            lines.feed(chunk)
        lines.close()
        _check(process, stderr, what)


@contextmanager
def in_memory(content: bytes) -> Iterator[int]:
    """``content`` as a command's standard input, in a file that has no name on any disk (memfd_create(2))."""
    if not content:
        yield subprocess.DEVNULL
        return
    with open(os.memfd_create("input"), "w+b") as file:
        file.write(content)
        file.seek(0)
        yield file.fileno()


@contextmanager
def _process(argv: Sequence[str], *, stdin: int = subprocess.DEVNULL, stdout: int | IO[bytes],
             stderr: IO[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    """A child that never outlives the context."""
    process = subprocess.Popen(argv, stdin=stdin, stdout=stdout, stderr=stderr, start_new_session=True)
    try:
        yield process
    except BaseException:
        process.kill()
        raise
    finally:
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                try:
                    pipe.close()
                except BrokenPipeError:
                    pass  # closing flushes, and nobody reads any more
        process.wait()


def _check(process: subprocess.Popen[bytes], stderr: IO[bytes], what: str) -> None:
    if process.wait():
        stderr.seek(0)
        raise explain(what, _text(stderr.read()))


def _text(data: bytes) -> str:
    return data.decode(errors="replace")
