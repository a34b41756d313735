"""However the program ends, it says why in a sentence, with the right exit code and without a traceback."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from assembler.errors import FileError
from assembler.image.layout import Layout
from assembler.report.build_records import Builds
from tests.cli.running import IMGASM, imgasm, surroundings
from tests.report.records import record
from tests.support.thin import busybox, rootfs, write_image

if TYPE_CHECKING:
    from collections.abc import Iterator

RECIPES = Path(__file__).parent.parent.parent / "recipes"

RECIPE = """
name = "small"
[base]
layout = "base"
[[file]]
path = "/opt/näm€"
content = "x"
[[image]]
name = "small"
"""

SLOW = """
import os, time
os.write(1, b"importing\\n")
time.sleep(60)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_image(Layout.create(tmp_path / "base"), "localhost/base:1", busybox(), rootfs({"opt/more": b"more"}))
    (tmp_path / "a.toml").write_text(RECIPE, encoding="utf-8")
    return tmp_path


def started(home: Path, *arguments: str | Path, **environment: str) -> subprocess.Popen[str]:
    """Whoever runs the tests in the background may have made them ignore Ctrl-C, and processes inherit that."""
    return subprocess.Popen(["env", "--default-signal=INT,TERM,HUP,QUIT", IMGASM, *arguments], cwd=home, text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=surroundings(home, **environment))


@pytest.mark.parametrize("module", ["typer", "pydantic", "httpx"])
@pytest.mark.parametrize(
    ("number", "says"),
    [(signal.SIGINT, "interrupted"), (signal.SIGTERM, "terminated"), (signal.SIGHUP, "the terminal was closed"),
     (signal.SIGQUIT, "quit")],
)  # fmt: skip
def test_signals_while_python_imports(tmp_path: Path, module: str, number: signal.Signals, says: str) -> None:
    """``typer`` is imported by the program's start, ``pydantic`` by a command, ``httpx`` by its work."""
    (tmp_path / "slow").mkdir()
    (tmp_path / "slow" / f"{module}.py").write_text(SLOW)
    with started(tmp_path, "copy", "127.0.0.1:1/a", "b", PYTHONPATH=str(tmp_path / "slow")) as process:
        assert process.stdout is not None and process.stderr is not None
        assert process.stdout.readline() == "importing\n"
        process.send_signal(number)
        assert process.stderr.read() == f"{says}\n"
    assert process.returncode == 128 + number


def test_a_signal_that_whoever_started_us_wants_ignored_is_ignored(tmp_path: Path) -> None:
    done = subprocess.run(["sh", "-c", f"trap '' HUP; {IMGASM} --version & kill -HUP $!; wait $!"], text=True,
                          capture_output=True, env=surroundings(tmp_path), check=False)  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")


def test_a_signal_within_a_destructor_is_not_lost(tmp_path: Path) -> None:
    """Python lets no exception out of a destructor."""
    script = tmp_path / "a.py"
    script.write_text("""
import os, signal, time
from assembler.cli import signals
from assembler.cli.error_handling import guarded

class Last:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGTERM)
        for _ in range(10):
            time.sleep(0.001)

def work():
    signals.tidy_up_first()
    Last()
    time.sleep(60)

guarded(work)
""")
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, env=surroundings(tmp_path),
                          check=False)  # fmt: skip
    assert (done.returncode, done.stderr) == (143, "terminated\n")


COMMANDS = [["--version"], ["--help"], ["push", "--help"], ["schema"], ["plan", str(RECIPES / "hello.toml")],
            ["plan", "--json", str(RECIPES / "hello.toml")]]  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_standard_output_is_full(tmp_path: Path, command: list[str]) -> None:
    with open("/dev/full", "wb") as full:
        done = subprocess.run([IMGASM, *command], stdout=full, stderr=subprocess.PIPE, text=True,
                              env=surroundings(tmp_path), check=False)  # fmt: skip
    assert done.returncode == 11
    assert done.stderr.startswith("error: standard output: No space left on device\nhint: ")
    assert len(done.stderr.splitlines()) == 2


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_standard_output_is_closed(tmp_path: Path, command: list[str]) -> None:
    done = subprocess.run(["sh", "-c", 'exec "$@" >&-', "sh", IMGASM, *command], stderr=subprocess.PIPE, text=True,
                          env=surroundings(tmp_path), check=False)  # fmt: skip
    assert done.returncode == 11
    assert done.stderr.splitlines()[0] == "error: standard output: Bad file descriptor"
    assert done.stderr.splitlines()[1:] == ["hint: It is closed; redirect it to a file or to /dev/null."]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_nobody_reads_standard_output(tmp_path: Path, command: list[str]) -> None:
    """As other programs end of SIGPIPE: without a word."""
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([IMGASM, *command], stdout=writer, stderr=subprocess.PIPE, text=True,
                          env=surroundings(tmp_path), check=False)  # fmt: skip
    os.close(writer)
    assert done.stderr == ""
    assert done.returncode == 141


def test_nobody_reads_standard_error_and_the_work_goes_on(folder: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([IMGASM, "build", "a.toml"], cwd=folder, stdout=subprocess.PIPE, stderr=writer,
                          env=surroundings(folder), check=False)  # fmt: skip
    os.close(writer)
    assert done.returncode == 0
    assert Layout.open(folder / "build/small").index()


def test_with_all_standard_streams_closed_no_file_takes_their_place(folder: Path) -> None:
    """A file that is opened as descriptor 1 would get what is printed."""
    archive = folder / "a.tar"
    done = subprocess.run(["sh", "-c", f"exec {IMGASM} copy base {archive} <&- >&- 2>&-"], cwd=folder,
                          env=surroundings(folder), check=False)  # fmt: skip
    assert done.returncode == 11
    assert imgasm(folder, "verify", archive).returncode == 0


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_a_terminal_with_few_characters(folder: Path, encoding: str) -> None:
    for command in (["build", "a.toml"], ["size-report", "build/small"], ["plan", "a.toml"], ["build", "näm€.toml"]):
        done = subprocess.run([IMGASM, *command], cwd=folder, capture_output=True, check=False,
                              env=surroundings(folder, PYTHONIOENCODING=encoding))  # fmt: skip
        assert done.returncode == (2 if "näm€.toml" in command else 0)
        said = (done.stdout + done.stderr).decode(encoding)
        assert "Traceback" not in said
        assert {"ascii": "n?m?", "latin-1": "näm?", "utf-8": "näm€"}[encoding] in said


def test_the_posix_locale(folder: Path) -> None:
    done = imgasm(folder, "plan", folder / "a.toml", LC_ALL="POSIX", PYTHONCOERCECLOCALE="0", PYTHONUTF8="0")
    assert done.returncode == 0
    assert "n?m?" in done.stdout


def test_json_is_the_same_value_in_every_encoding(folder: Path) -> None:
    imgasm(folder, "build", folder / "a.toml", "--output", folder / "out")
    for command in (["plan", folder / "a.toml"], ["size-report", folder / "out"]):
        shown = [imgasm(folder, *command, "--json", PYTHONIOENCODING=code).stdout for code in ("ascii", "utf-8")]
        assert shown[0].isascii()
        assert json.loads(shown[0]) == json.loads(shown[1])
    assert "€" in shown[1]


@pytest.mark.parametrize("arguments", [["copy", "base", "./no/dir/a.tar"], ["copy", "base", "a.toml/a.tar"],
                                       ["copy", "base", "/proc/a.tar"], ["build", "a.toml", "--output", "/proc/a"],
                                       ["size-report", "base", "--html", "./no/dir/a"], ["copy", "base", "/proc/a"],
                                       ["build", "a.toml", "--output", "a.toml/a"]], ids=" ".join)  # fmt: skip
def test_a_target_that_cannot_be_written_is_named_with_a_remedy(folder: Path, arguments: list[str]) -> None:
    done = subprocess.run([IMGASM, *arguments], cwd=folder, capture_output=True, text=True, check=False,
                          env=surroundings(folder))  # fmt: skip
    assert done.returncode == 11
    error, hint = done.stderr.splitlines()[-2:]
    assert error.startswith(f"error: {Path(arguments[-1])}")
    assert hint.startswith("hint: ")


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own."""
    (tmp_path / "disk").mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", tmp_path / "disk"], check=True)
    yield tmp_path / "disk"
    subprocess.run(["umount", tmp_path / "disk"], check=True)


@pytest.mark.root
def test_a_disk_that_is_full_at_any_moment_of_a_build(folder: Path, disk: Path) -> None:
    recipe = folder / "a.toml"
    recipe.write_text(recipe.read_text() + 'onto = "scratch"\nkeep = ["/opt/näm€"]\n')
    missed = 0
    for pages in range(1, 40, 2):
        subprocess.run(["mount", "-o", f"remount,size={4 * pages}k", disk], check=True)
        done = imgasm(folder, "build", recipe, "--output", disk / "out")
        if done.returncode == 0:
            break
        assert done.returncode == 11, done.stderr
        assert f"error: {disk / 'out'}" in done.stderr
        assert "No space left on device\nhint: Free some space" in done.stderr
        subprocess.run(["rm", "-r", "-f", disk / "out"], check=True)
        missed += 1
    assert done.returncode == 0 and missed


@pytest.mark.root
def test_a_disk_that_is_full_when_the_record_is_written(disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,size=4k", disk], check=True)
    (disk / "page").write_bytes(b"x" * 4096)
    with pytest.raises(FileError, match=f"{disk}/imgasm.*: No space left on device"):
        Builds(builds=(record(),)).save(disk)
    assert [path.name for path in disk.iterdir()] == ["page"]


def test_an_image_without_layers(tmp_path: Path) -> None:
    subprocess.run(["umoci", "init", "--layout", tmp_path / "empty"], check=True)
    subprocess.run(["umoci", "new", "--image", f"{tmp_path}/empty:v1"], check=True)
    for command in (["size-report"], ["verify"], ["compare", tmp_path / "empty"], ["size-report", "--max-layer", "1B"]):
        done = imgasm(tmp_path, *command, tmp_path / "empty")
        assert done.returncode == 0, done.stderr
        assert "Traceback" not in done.stderr


def test_a_fault_of_imgasm_is_told_as_one(tmp_path: Path) -> None:
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "tomllib.py").write_text("1 / 0")
    done = imgasm(tmp_path, "plan", RECIPES / "hello.toml", PYTHONPATH=str(tmp_path / "broken"))
    assert done.returncode == 1
    assert "\nerror: this is a bug in imgasm" in done.stderr
    assert "ZeroDivisionError" in done.stderr


def test_the_terminal_is_closed_while_a_password_is_awaited(tmp_path: Path) -> None:
    leader, terminal = os.openpty()
    process = subprocess.Popen(
        ["env", "--default-signal=HUP", "setsid", "--ctty", IMGASM, "login", "r.example"], stdin=terminal,
        stdout=terminal, stderr=terminal, env=surroundings(tmp_path),
    )  # fmt: skip
    os.close(terminal)
    seen = b""
    while b"Username" not in seen:
        seen += os.read(leader, 1000)
    os.close(leader)
    assert process.wait() == 128 + signal.SIGHUP
