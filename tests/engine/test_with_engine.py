"""scripts/with-engine, where no engine answers yet."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.commands.test_build import Cli

pytestmark = [pytest.mark.engine, pytest.mark.root]

SCRIPT = Path(__file__).parents[2] / "scripts/with-engine"
NO_ENGINE = {**os.environ, "DOCKER_HOST": "unix:///no/such/socket", "IMGASM_ENGINE": "docker"}


@pytest.fixture
def parent() -> Iterator[Path]:
    """Short enough for a socket."""
    with tempfile.TemporaryDirectory(dir="/var/tmp", prefix="e.") as directory:
        yield Path(directory)


def start(script: str, parent: Path, **environment: str) -> subprocess.Popen[str]:
    """It takes SIGHUP also where these tests run under nohup."""
    return subprocess.Popen(["env", "--default-signal=HUP", SCRIPT, "sh", "-c", script], stdout=subprocess.PIPE,
                            stderr=subprocess.DEVNULL, text=True,
                            env={**NO_ENGINE, "IMGASM_ENGINE_DIR": str(parent), **environment})


def traces(parent: Path) -> list[str]:
    """Files, mounts and processes that have ``parent`` in their name."""
    commands = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if os.access(path, os.R_OK)]
    mounts = Path("/proc/self/mountinfo").read_text()
    return [*map(str, parent.iterdir()), *[str(line) for line in commands if bytes(parent) in line],
            *[line for line in mounts.splitlines() if str(parent) in line]]


def test_a_private_engine_lives_as_long_as_the_command(parent: Path) -> None:
    with start("docker info --format '{{.DockerRootDir}} {{.Driver}}'; exit 7", parent) as process:
        output, _ = process.communicate()
    assert process.returncode == 7
    root, driver = output.split()
    assert Path(root).parent.parent == parent
    assert driver == "overlay2"
    assert traces(parent) == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_reaches_the_command_which_may_clean_up(parent: Path, number: signal.Signals) -> None:
    script = 'trap "docker version >/dev/null && echo cleaned; exit 9" TERM HUP; echo up; while :; do sleep 0.1; done'
    with start(script, parent) as process:
        assert process.stdout is not None and process.stdout.readline() == "up\n"
        process.send_signal(number)
        output, _ = process.communicate()
    assert (process.returncode, output) == (9, "cleaned\n")
    assert traces(parent) == []


def test_what_a_kill_9_left_is_removed_by_the_next_one(parent: Path) -> None:
    with start("echo up; sleep 60", parent) as process:
        assert process.stdout is not None and process.stdout.readline() == "up\n"
        process.kill()
    assert len(list(parent.iterdir())) == 1
    with start("true", parent) as process:
        process.communicate()
    assert traces(parent) == []


def test_an_engine_that_answers_is_used(parent: Path) -> None:
    ask = "docker info --format '{{.DockerRootDir}}'"
    with start(f"{ask}; {SCRIPT} {ask}", parent) as process:
        output, _ = process.communicate()
    outer, inner = output.split()
    assert outer == inner


def test_podman_gets_settings_that_run(parent: Path) -> None:
    with start("podman run --rm --network none --rootfs /:O /bin/echo it runs", parent, IMGASM_ENGINE="podman",
               ) as process:
        output, _ = process.communicate()
    assert (process.returncode, output) == (0, "it runs\n")
    assert traces(parent) == []


def test_a_directory_too_long_for_sockets_is_refused(tmp_path: Path) -> None:
    long = tmp_path / ("x" * 60)
    long.mkdir()
    done = subprocess.run([SCRIPT, "true"], env={**NO_ENGINE, "IMGASM_ENGINE_DIR": str(long)}, capture_output=True,
                          text=True, check=False)
    assert done.returncode == 5
    assert "too long" in done.stderr


def test_a_failed_build_is_resumed_in_an_engine_that_was_kept(parent: Path, tmp_path: Path) -> None:
    cli = Cli(tmp_path)
    recipe = cli.recipe()
    broken = (tmp_path / recipe).read_text().replace('["rm", "/opt/app/big"]', '"exit 3"')
    (tmp_path / recipe).write_text(broken)
    environment = {**cli.environment, **NO_ENGINE, "HOME": str(tmp_path), "IMGASM_ENGINE_DIR": str(parent)}

    def run(*arguments: str, keep: bool = True) -> tuple[int, str]:
        command = [str(SCRIPT), *(["--keep", "here"] if keep else []), *cli.command(*arguments)]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        return done.returncode, done.stderr

    build = ("build", recipe, "--on-failure", "keep")
    status, told = run(*build, keep=False)
    assert status == 6 and "goes with this private engine; scripts/with-engine --keep NAME lets both stay" in told
    status, told = run(*build)
    assert status == 6 and "goes with this private engine" not in told and "its container stays" in told
    assert [path.name for path in parent.iterdir()] == ["imgasm-engine-here"]
    (tmp_path / recipe).write_text(broken.replace('"exit 3"', '"rm /opt/app/big"'))
    status, told = run("resume")
    assert status == 0 and "[1/2]" not in told and "[2/2]" in told, told
    assert (tmp_path / "build/sample/index.json").is_file()
