"""What people see: on a terminal, in a log, in colours or without, and in few columns."""

from __future__ import annotations

import fcntl
import io
import os
import re
import struct
import subprocess
import termios
import time
from typing import TYPE_CHECKING

import pytest
from rich.cells import cell_len

from assembler.cli.heartbeat import Heartbeat, RunningTask
from assembler.image.layout import Layout
from assembler.report.build_text import render
from assembler.report.text_layout import Name, draw
from tests.cli.running import IMGASM, imgasm, surroundings
from tests.report.records import record
from tests.support.thin import busybox, rootfs, write_image

if TYPE_CHECKING:
    from pathlib import Path

LONG = "opt/" + "/".join(["deepdeep"] * 12) + "/file.so"

SLOW = """
name = "slow"
[base]
bootstrap = { suite = "bookworm" }
[[file]]
path = "/opt/a"
content = "a"
[[image]]
name = "slow"
"""


@pytest.fixture
def layout(tmp_path: Path) -> Path:
    files = rootfs({LONG: b"x" * 50_000, "opt/b": b"b" * 70_000})
    write_image(Layout.create(tmp_path / "base"), "localhost/base:1", busybox(), files)
    return tmp_path / "base"


def on_terminal(home: Path, *arguments: str | Path, columns: int = 80, **environment: str) -> str:
    """All that a terminal of so many columns shows of it."""
    leader, terminal = os.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    with subprocess.Popen([IMGASM, *arguments], stdin=terminal, stdout=terminal, stderr=terminal, cwd=home,
                          env=surroundings(home, **{"TERM": "xterm", **environment})) as process:  # fmt: skip
        os.close(terminal)
        seen = b""
        try:
            while piece := os.read(leader, 10_000):
                seen += piece
        except OSError:  # how a terminal says that its other side is closed
            pass
    os.close(leader)
    assert process.returncode in (0, 2, 9)
    return seen.decode().replace("\r\n", "\n")


@pytest.mark.parametrize(("environment", "colored"), [
    ({}, True), ({"TERM": "dumb"}, False), ({"NO_COLOR": "1"}, False), ({"NO_COLOR": ""}, True),
    ({"TERM": "dumb", "FORCE_COLOR": "1"}, True), ({"NO_COLOR": "1", "FORCE_COLOR": "1"}, False),
])  # fmt: skip
def test_colors_of_a_terminal(layout: Path, environment: dict[str, str], colored: bool) -> None:
    for arguments in (["size-report", layout], ["size-report", "./nothing"]):
        assert ("\033[" in on_terminal(layout.parent, *arguments, **environment)) is colored


@pytest.mark.parametrize(
    ("environment", "colored"), [({}, False), ({"FORCE_COLOR": "1"}, True), ({"TERM": "xterm"}, False)]
)
def test_colors_of_a_pipe(layout: Path, environment: dict[str, str], colored: bool) -> None:
    assert ("\033[" in imgasm(layout.parent, "size-report", layout, **environment).stdout) is colored
    assert ("\033[" in imgasm(layout.parent, "size-report", "./nothing", **environment).stderr) is colored


def test_a_dumb_terminal_gets_no_bar(layout: Path) -> None:
    shown = on_terminal(layout.parent, "verify", layout, TERM="dumb")
    assert "\r" not in shown
    assert "\r" in on_terminal(layout.parent, "verify", layout)


@pytest.mark.parametrize("columns", [40, 60, 80, 200])
def test_paths_are_broken_behind_slashes_and_nothing_is_wider_than_the_terminal(layout: Path, columns: int) -> None:
    shown = on_terminal(layout.parent, "size-report", layout, columns=columns, NO_COLOR="1")
    assert all(len(line) <= columns for line in shown.splitlines())
    pieces = {piece for word in re.findall(r"\S*deep\S*|file\.so", shown) for piece in word.split("/")}
    assert pieces <= {"", "opt", "deepdeep", "file.so"}
    assert len(pieces) >= 3


def test_columns_says_how_wide_a_pipe_is(layout: Path) -> None:
    shown = imgasm(layout.parent, "size-report", layout, COLUMNS="40").stdout
    assert max(len(line) for line in shown.splitlines()) <= 40
    wide = imgasm(layout.parent, "size-report", layout, COLUMNS="200").stdout
    assert f"/{LONG}" in wide


def test_a_name_is_broken_within_a_word_only_where_the_word_is_longer_than_the_line() -> None:
    assert draw(Name("/usr/lib/x86_64-linux-gnu/libc.so"), 20, False) == "/usr/lib/\n  x86_64-linux-gnu/\n  libc.so\n"
    assert draw(Name("a" * 25), 10, False) == f"{'a' * 10}\n  {'a' * 8}\n  {'a' * 7}\n"
    wide = draw(Name("/" + "\u540d" * 9), 8, False)
    assert "".join(wide.split()) == "/" + "\u540d" * 9
    assert all(cell_len(line) <= 8 for line in wide.splitlines())
    assert draw(Name("a\x1b[2Jb"), 40, False) == "a\\x1b[2Jb\n"


def test_a_report_has_no_empty_headings_and_no_unexplained_dots() -> None:
    full = render(record())
    assert "..." not in full
    image = record().images[0].model_copy(update={"directories": (), "files": ()})
    bare = render(record().model_copy(update={"images": (image,)}))
    assert "largest" not in bare


def test_one_entry_is_one(tmp_path: Path) -> None:
    write_image(Layout.create(tmp_path / "base"), "localhost/base:1", rootfs({"a": b"a"}))
    (tmp_path / "one.toml").write_text('name = "one"\n[base]\nlayout = "base"\n[[file]]\npath = "/b"\ncontent = "b"\n'
                                       '[[image]]\nname = "one"\nonto = "scratch"\nkeep = ["/b"]\n')  # fmt: skip
    told = imgasm(tmp_path, "build", tmp_path / "one.toml", "--output", tmp_path / "out").stderr
    assert "image one: 1 entry," in told


@pytest.fixture
def slow(tmp_path: Path) -> Path:
    """An mmdebstrap that says one word and then nothing more, until it is told to end."""
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "mmdebstrap"
    program.write_text("#!/bin/sh\ntrap 'exit 1' TERM\necho 'I: installing essential packages...' >&2\n"
                       "sleep infinity & wait\n")  # fmt: skip
    program.chmod(0o755)
    (tmp_path / "slow.toml").write_text(SLOW)
    return tmp_path


def test_a_long_silent_phase_shows_that_it_goes_on_in_a_log(slow: Path) -> None:
    with subprocess.Popen([IMGASM, "build", "slow.toml"], cwd=slow, stderr=subprocess.PIPE, text=True,
                          env=surroundings(slow, PATH=f"{slow}/bin:{os.environ['PATH']}")) as process:  # fmt: skip
        assert process.stderr is not None
        told = re.compile(r"mmdebstrap bookworm: ([0-9]+) s, 1 lines?: I: installing essential packages...\n")
        beat = next(filter(None, map(told.fullmatch, process.stderr)), None)
        process.terminate()
    assert beat and int(beat[1]) >= 5


def test_a_long_silent_phase_has_a_clock_on_a_terminal(slow: Path) -> None:
    leader, terminal = os.openpty()
    with subprocess.Popen([IMGASM, "build", "slow.toml"], cwd=slow, stdin=terminal, stdout=terminal, stderr=terminal,
                          env=surroundings(slow, TERM="xterm", PATH=f"{slow}/bin:{os.environ['PATH']}")) as process:
        os.close(terminal)
        seen = b""
        try:
            while not re.search(rb"bookworm:? +00:(0[3-9]|[1-5][0-9]).*installing essential packages", seen):
                seen += os.read(leader, 10_000)
        except OSError:
            pytest.fail(seen.decode())
        process.terminate()
        process.wait()
    os.close(leader)


def test_only_the_outermost_work_has_a_heartbeat() -> None:
    told: list[str] = []
    heart = Heartbeat(told.append, first=0.01)
    outer, inner = RunningTask("pushing", 2_000_000, "B"), RunningTask("a blob", 1_000_000, "B")
    with heart.beside(outer), heart.beside(inner):
        outer.advance(1_000_000)
        while len(told) < 2:
            time.sleep(0.01)
    assert all(line.startswith("pushing: ") for line in told)
    assert re.fullmatch("pushing: [0-9]+ s, 1.00 MB of 2.00 MB", told[-1])
    outer.holds(3_000_000)
    assert re.fullmatch("pushing: [0-9]+ s, 3.00 MB on disk, 1.00 MB of 2.00 MB", str(outer))
    spoken = len(told)
    time.sleep(0.1)
    assert len(told) == spoken


def test_a_terminal_that_is_gone_takes_no_work_with_it() -> None:
    from assembler.cli.terminal import Terminal

    class Gone(io.StringIO):
        def write(self, text: str) -> int:
            raise OSError(5, "Input/output error")

    terminal = Terminal(Gone())
    terminal.say("a")
    with terminal.task("b") as task:
        task.advance(1)
    terminal.warn("c")
