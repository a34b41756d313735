"""A build that failed goes on in its own container, and gives what one gives that never failed."""

from __future__ import annotations

import json
import os
import pty
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.commands.test_build import Cli
from tests.support import engines

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.engine

RECIPE = """
name = "sample"

[vars]
word = "one"
token = { secret = true }

[base]
rootfs = "base.tar"

[container]
scratch = ["/scratch"]
network = "none"
env = { TOKEN = "{{ token }}", PLAIN = "plain" }

[[file]]
path = "/opt/app/motd"
content = "hello"

[[step]]
name = "first"
run = '''
echo "{{ word }}" > /opt/app/word
head -c 300000 /dev/zero > /opt/app/big
echo made > /scratch/made
rm -r /opt/old
'''

[[step]]
name = "second"
workdir = "/opt/app"
run = '''
echo half > half
cat /scratch/made > whole
test -n "$TOKEN"
missing-program
'''

[[step]]
name = "third"
run = "rm -f /opt/app/big /opt/app/half"

[[image]]
name = "sample"
reference = "127.0.0.1:1/sample:1"
compression = "gzip"
keep = ["/opt/**"]
"""
RIGHT = "missing-program", "true"


@pytest.fixture(params=["docker", "podman", "host"])
def engine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with engines.running(request.param, tmp_path_factory.mktemp("engine")) as name:
        yield name


@pytest.fixture
def cli(tmp_path: Path, engine: str) -> Iterator[Cli]:
    cli = Cli(tmp_path)
    cli.environment |= {"IMGASM_ENGINE": engine, "token": "s3cr3t-value"}
    (tmp_path / "base.tar").write_bytes(engines.busybox_rootfs().getvalue())
    (tmp_path / "sample.toml").write_text(RECIPE)
    yield cli
    cli("clean", "--kept")
    assert not containers(cli)


def edit(cli: Cli, was: str, now: str) -> None:
    recipe = cli.directory / "sample.toml"
    text = recipe.read_text()
    assert was in text
    recipe.write_text(text.replace(was, now))


def fail(cli: Cli, *options: str) -> str:
    return cli("build", "sample.toml", "--set-env", "token", "--on-failure", "keep", *options, status=6).stderr


def containers(cli: Cli) -> list[str]:
    engine = cli.environment["IMGASM_ENGINE"]
    if engine == "host":
        return [folder.name for folder in (cli.directory / ".cache/imgasm/host/containers").glob("*/")]
    command = [engine, "ps", "--all", "--filter", "label=io.imgasm.build", "--format", "{{.Names}}"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()


def manifest(cli: Cli, output: str = "build/sample") -> str:
    record = json.loads((cli.directory / output / "imgasm.json").read_text())
    return str(record["images"][0]["manifest"])


def test_fail_look_edit_resume(cli: Cli, engine: str) -> None:
    told = fail(cli)
    [kept] = containers(cli)
    assert kept.startswith("imgasm-kept-") and f"its container stays, {kept}: imgasm shell enters it" in told
    assert "imgasm resume goes on at step second with the recipe as it is then" in told
    assert f"{kept} of build" in cli("clean").stderr and containers(cli) == [kept]

    edit(cli, *RIGHT)
    done = cli("resume")
    assert "[1/3]" not in done.stderr and "[2/3] second" in done.stderr and "[3/3] third" in done.stderr
    assert not containers(cli)
    record = json.loads((cli.directory / "build/sample/imgasm.json").read_text())
    assert [step["name"] for step in record["steps"]] == ["first", "second", "third"]
    assert record["notes"] == ["step second failed, and went on in the same container"]
    assert {tuple(entry) for entry in record["discarded"] for entry in [entry.values()]} >= {(0, 2, 300000)}
    writers = {step: tally["files"] for step, tally in record["images"][0]["steps"]}
    assert writers == {None: 1, 0: 1, 1: 1}
    assert "using the last build in this directory" in cli("size-report").stderr

    cli("build", "sample.toml", "--set-env", "token", "--no-cache", "--output", "fresh")
    assert manifest(cli) == manifest(cli, "fresh")
    assert "nothing changed" in cli("build", "sample.toml", "--set-env", "token").stderr
    assert "s3cr3t-value" not in (cli.directory / "build/sample/imgasm.json").read_text()


def test_what_is_done_must_not_be_edited(cli: Cli, engine: str) -> None:
    fail(cli)
    edit(cli, *RIGHT)
    edit(cli, 'content = "hello"', 'content = "other"')
    refused = cli("resume", status=3).stderr
    assert "[[file]] /opt/app/motd changed, and imgasm-kept-" in refused
    edit(cli, 'content = "other"', 'content = "hello"')
    assert "run of step first changed" in cli("resume", "--set", "word=two", status=3).stderr
    assert len(containers(cli)) == 1, "nothing is lost by that"
    assert "step third has not been done" not in cli("resume").stderr


def test_it_fails_again_and_is_resumed_again(cli: Cli, engine: str) -> None:
    fail(cli)
    edit(cli, "missing-program", "exit 7")
    again = cli("resume", status=6).stderr
    assert "step 'second' ended with status 7" in again and "imgasm resume goes on at step second" in again
    edit(cli, "exit 7", "true")
    edit(cli, 'run = "rm -f', 'run = "exit 8; rm -f')
    assert "imgasm resume goes on at step third" in cli("resume", status=6).stderr
    assert "step second has not" not in cli("assemble", status=2).stderr
    assert "--on-failure keep leaves it" in cli("resume", "--on-failure", "remove", status=6).stderr
    assert not containers(cli)
    assert "no container was kept of the build" in cli("resume", status=2).stderr


def test_a_typo_in_keep_costs_no_step(cli: Cli, engine: str) -> None:
    edit(cli, *RIGHT)
    edit(cli, 'keep = ["/opt/**"]', 'keep = ["/optt/**"]')
    options = ("build", "sample.toml", "--set-env", "token", "--on-failure", "keep")
    told = cli(*options, status=7).stderr
    assert "imgasm assemble makes the images again" in told
    edit(cli, '"/optt/**"', '"/opt/app/word"')
    assert "[1/3]" not in cli("assemble").stderr
    first = manifest(cli)
    edit(cli, '"/opt/app/word"', '"/opt/**"')
    assert "[1/3]" not in cli("assemble").stderr and len(containers(cli)) == 1
    cli("build", "sample.toml", "--set-env", "token", "--no-cache", "--output", "fresh")
    assert first != manifest(cli) == manifest(cli, "fresh")


def test_a_shell_has_what_the_step_has(cli: Cli, engine: str) -> None:
    fail(cli)
    command = cli.command("shell")
    script = 'pwd; echo "$PLAIN ${#TOKEN}"; cat half; echo by hand > by-hand; exit 3'
    done = subprocess.run(command, cwd=cli.directory, env=cli.environment, input=script, capture_output=True, text=True,
                          check=False)
    assert (done.returncode, done.stdout) == (3, "/opt/app\nplain 12\nhalf\n"), done.stderr
    if engine != "host":  # where nothing runs between two commands
        subprocess.run([engine, "stop", "--time", "0", *containers(cli)], check=True, capture_output=True)
    edit(cli, *RIGHT)
    cli("resume")  # also after the engine has stopped it
    record = json.loads((cli.directory / "build/sample/imgasm.json").read_text())
    assert "somebody was in the container by hand" in record["notes"][0]
    assert "nothing changed" not in cli("build", "sample.toml", "--set-env", "token").stderr


def test_a_terminal_keeps_it_and_shell_enters_it_at_once(cli: Cli, engine: str) -> None:
    assert "--on-failure shell needs a terminal" in cli("build", "sample.toml", "--set-env", "token", "--on-failure",
                                                        "shell", status=2).stderr
    told = on_terminal(cli, ["build", "sample.toml", "--set-env", "token", "--on-failure", "shell"], b"ls; exit\r")
    assert b"this is the failed build's container" in told and b"half" in told and b"step 'second' ended" in told
    assert len(containers(cli)) == 1
    cli("clean", "--kept")
    assert b"its container stays" in on_terminal(cli, ["build", "sample.toml", "--set-env", "token"], b"")


def on_terminal(cli: Cli, arguments: list[str], typed: bytes) -> bytes:
    """What is shown; ``typed`` is typed at the first prompt."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(cli.directory)
        command = cli.command(*arguments)
        os.execve(command[0], command, {**cli.environment, "TERM": "xterm"})
    seen = b""
    while True:
        try:
            chunk = os.read(terminal, 1 << 16)
        except OSError:
            break  # nobody has the other end any more
        if not chunk:
            break
        seen += chunk
        if typed and b"# " in seen.partition(b"when you have left it")[2]:
            os.write(terminal, typed)
            typed = b""
    os.waitpid(pid, 0)
    return seen
