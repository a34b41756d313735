"""This machine as an engine: what a step finds is what Docker gives it, and nothing stays."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from contextlib import contextmanager
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import pytest

from assembler.engine.container import Bind, ContainerSpec
from assembler.engine.host.engine import HostEngine
from assembler.engine.overlay_directories import OverlayDirs
from assembler.engine.step import Command
from assembler.errors import EngineError, StepFailed, UsageError
from assembler.image.layout import Layout
from assembler.model.container import Container
from assembler.model.reference import Reference
from assembler.model.run_config import RunConfig
from assembler.progress import SilentProgress
from tests.commands.test_build import Cli, contents
from tests.image.imagemaking import add_image, run
from tests.support import engines

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from assembler.engine.session import Session

pytestmark = pytest.mark.root

GROUPS = b"root:x:0:\nann:x:1000:\nmail:x:8:root,ann\n"


def base_of(engine: HostEngine, folder: Path, *layers: bytes | dict[str, bytes | None]) -> str:
    layout = Layout.create(folder / "layout")
    image = add_image(layout, *layers, run=RunConfig(env={"OF_IMAGE": "yes"}))
    opened = [partial(layout.open_blob, descriptor.digest) for descriptor, _ in image.layers]
    return engine.images.take(image, opened, "the base", SilentProgress())


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> HostEngine:
    return HostEngine(tmp_path_factory.mktemp("host"))


@pytest.fixture(scope="module")
def base(engine: HostEngine, tmp_path_factory: pytest.TempPathFactory) -> str:
    rootfs = engines.busybox_rootfs({"etc/group": GROUPS, "opt/old/other": b"of the base, too\n"})
    return base_of(engine, tmp_path_factory.mktemp("base"), rootfs.getvalue())


@contextmanager
def session(engine: HostEngine, base: str, *binds: Bind, **container: object) -> Iterator[Session]:
    spec = ContainerSpec(base, "a1b2", Container(**{"network": "none", **container}), binds=binds)  # type: ignore[arg-type]
    with engine.session(spec, warn=pytest.fail) as made:
        yield made


def shell(session: Session, script: str, **options: object) -> list[str]:
    lines: list[str] = []
    session.run(Command("a step", ["/bin/sh", "-ec", script], {}, **options), lines.append)  # type: ignore[arg-type]
    return lines


def until(happened: Callable[[], bool]) -> None:
    while not happened():
        time.sleep(0.05)


def test_a_step_finds_what_it_finds_in_docker(engine: HostEngine, base: str) -> None:
    with session(engine, base) as made:
        assert shell(made, "echo made > /made; echo $OF_IMAGE $HOME; id -u; umask; hostname") == \
            ["yes /root", "0", "0022", "imgasm"]
        assert shell(made, "cat /made; pwd; id; echo $HOME", user="ann", workdir=PurePosixPath("/opt/old")) == \
            ["made", "/opt/old", "uid=1000(ann) gid=1000(ann) groups=8(mail),1000(ann)", "/"]
        assert shell(made, "id", user="1000:8") == ["uid=1000(ann) gid=8(mail)"]
        assert shell(made, "grep -E 'CapBnd|CapEff|NoNewPrivs|Seccomp:' /proc/self/status") == \
            ["CapEff:\t00000000a80425fb", "CapBnd:\t00000000a80425fb", "NoNewPrivs:\t0", "Seccomp:\t0"]
        assert [line for line in shell(made, "ps -o comm") if line not in ("COMMAND", "ps", "sh", "sleep")] == []
        assert shell(made, "ip -o link | wc -l; ip -o addr show lo | grep -c 127.0.0.1") == ["1", "1"]
        assert shell(made, "ls /dev; echo > /dev/null; head -c 3 /dev/zero | wc -c")[-1] == "3"
        assert shell(made, "! touch /proc/sys/kernel/x 2>/dev/null; ! echo > /proc/sysrq-trigger; wc -c < /proc/kcore "
                           "2>/dev/null || echo hidden", ) [-1] in ("0", "hidden")


def test_steps_end_as_they_end(engine: HostEngine, base: str) -> None:
    with session(engine, base) as made:
        for script, message in (("exit 7", "ended with status 7"), ("kill -KILL $$", "was killed by SIGKILL")):
            with pytest.raises(StepFailed, match=message):
                shell(made, script)
        with pytest.raises(StepFailed, match="ended with status 127") as failure:
            shell(made, "true", user="nobody-knows")
        assert "nobody-knows: no such user in /etc/passwd" in (failure.value.detail or "")
        with pytest.raises(StepFailed, match="longer than its timeout"):
            shell(made, "setsid sleep 1235 & sleep 1236", timeout=3)
        assert not [line for line in shell(made, "ps") if "sleep 123" in line]
        with pytest.raises(StepFailed, match="the container itself has stopped"):
            shell(made, "kill -TERM 1; sleep 1000")


def test_a_device_can_be_made_and_not_be_used(engine: HostEngine, base: str) -> None:
    with session(engine, base) as made:
        shell(made, "mknod /opt/zero c 1 5; ! head -c 1 /opt/zero 2>/dev/null")
        found = made.overlay()
        assert isinstance(found, OverlayDirs) and (found.upper / "opt/zero").is_char_device()
    with session(engine, base, devices=("/dev/zero:/dev/mine",)) as made:
        assert shell(made, "head -c 2 /dev/mine | wc -c") == ["2"]


def test_what_is_mounted(engine: HostEngine, base: str, tmp_path: Path) -> None:
    source = tmp_path / "a, source"
    source.write_text("from outside\n")
    (tmp_path / "folder").mkdir()
    folder = Bind(tmp_path / "folder", PurePosixPath("/opt/f"), read_only=False)
    binds = Bind(source, PurePosixPath("/sources/a")), folder
    scratch = (PurePosixPath("/tmp"), PurePosixPath("/opt/old"))
    hosts = Path("/etc/hosts").read_bytes()
    with session(engine, base, *binds, scratch=scratch) as made:
        assert {b"tmp", b"opt/old", b"sources/a", b"proc", b"etc/hosts"} <= set(made.mounts())
        assert shell(made, "cat /sources/a; ! touch /sources/a 2>/dev/null; stat -c %a /tmp; cat /opt/old/*") == \
            ["from outside", "1777", "of the base", "of the base, too"]
        shell(made, "echo new > /opt/f/new; echo much > /opt/old/much")
        assert made.changed_mounts() == [b"opt/f"], "sources are the only other binds that imgasm has"
        shell(made, "echo 1.2.3.4 me >> /etc/hosts")
        assert b"etc/hosts" in made.changed_mounts()
        directory = made.scratch_directories()["/opt/old"]
        assert (directory / "much").read_text() == "much\n"
        with made.paused(), made.container.export() as tar:
            names = subprocess.run(["tar", "-t"], stdin=tar, capture_output=True, text=True, check=True).stdout.split()
        assert "./opt/old/file" in names and "./opt/old/much" not in names and "./proc/" in names
    assert Path("/etc/hosts").read_bytes() == hosts and (tmp_path / "folder/new").exists() and not directory.exists()


def test_what_it_does_not_have_is_said(engine: HostEngine, base: str) -> None:
    for wanted, error in (({"network": "bridge"}, UsageError), ({"security_opt": ("no-new-privileges",)}, UsageError),
                          ({"cap_add": ("FLY",)}, EngineError)):
        with pytest.raises(error), session(engine, base, **wanted):
            pytest.fail("it ran")
    with session(engine, base, security_opt=("seccomp=unconfined",), cap_add=("cap_sys_admin",), network=None) as made:
        assert shell(made, "grep CapEff /proc/self/status") == ["CapEff:\t00000000a82425fb"]
        here = Path("/sys/class/net").iterdir()
        assert len(shell(made, "ip -o link")) == len(list(here))


def test_a_base_without_shell_is_explained(engine: HostEngine, tmp_path: Path) -> None:
    empty = base_of(engine, tmp_path, {"file": b""})
    with pytest.raises(EngineError, match="could not start the container") as failure, session(engine, empty):
        pass
    assert "needs a /bin/sh" in (failure.value.hint or "")
    assert not list((engine.info.root / "containers").iterdir())


def test_layers_are_applied_as_umoci_does_it(engine: HostEngine, tmp_path: Path) -> None:
    layers: list[dict[str, bytes | None]] = [
        {"a": None, "a/gone": b"1", "a/stays": b"2", "b": None, "b/deep": None, "b/deep/x": b"3", "c": b"file",
         "d": None, "d/in": b"4"},
        {"a": None, "a/.wh.gone": b"", "b": None, "b/.wh..wh..opq": b"", "b/new": b"5", "c": None, "c/now": b"6",
         "d": b"a file now"},
    ]  # fmt: skip
    files = engine.images.folder / base_of(engine, tmp_path, *layers) / "files"
    layout = Layout.open(tmp_path / "layout")
    layout.tag(add_image(layout, *layers, run=RunConfig(env={"OF_IMAGE": "yes"})).descriptor, Reference.parse("it:1"))
    run("umoci", "unpack", "--image", f"{layout.root}:1", tmp_path / "bundle")
    assert listing(files) == listing(tmp_path / "bundle/rootfs")


def listing(root: Path) -> list[str]:
    told = run("find", root, "-mindepth", "1", "-printf", "%P %y %m %U:%G %l\n")
    return sorted(told.decode().splitlines())


def test_no_layer_gets_out(engine: HostEngine, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (tmp_path / "base").mkdir()
    rootfs = tmp_path / "base/link"
    rootfs.symlink_to(outside)
    first = subprocess.run(["tar", "-c", "-C", tmp_path / "base", "link"], capture_output=True, check=True).stdout
    key = base_of(engine, tmp_path, first, {"link/evil": b"!"})
    assert not list(outside.iterdir()) and (engine.images.folder / key / "files/link/evil").read_bytes() == b"!"


@pytest.mark.engine
def test_builds_are_docker_s_to_the_last_byte(tmp_path: Path) -> None:
    for name in ("docker", "host"):
        (tmp_path / name).mkdir()
        cli = Cli(tmp_path / name)
        told = cli("build", cli.recipe(), "--engine", name, "--json", "--prove").stdout
        assert json.loads(told)["engine"]["name"] == name
    cli("build", "sample.toml", "--engine", "host", "--capture", "export", "--no-cache", "--output", "export")
    expected = contents(tmp_path / "docker/build/sample")
    assert contents(tmp_path / "host/build/sample") == contents(tmp_path / "host/export") == expected


def test_it_is_taken_where_no_engine_answers(tmp_path: Path) -> None:
    cli = Cli(tmp_path)
    programs = tmp_path / "programs"
    programs.mkdir()
    for name in ("unshare", "setpriv", "true", "rm", "cp", "tar", "sh"):
        (programs / name).symlink_to(shutil.which(name) or pytest.fail(name))
    cli.environment["PATH"] = str(programs)
    for name in ("IMGASM_ENGINE", "DOCKER_HOST", "DOCKER_CONTEXT", "CONTAINER_HOST"):
        cli.environment.pop(name, None)
    assert "host" in cli("build", cli.recipe()).stdout
    refused = cli("load", status=5).stderr
    assert "no container engine answers" in refused
    assert "has no images of its own" in cli("load", "--engine", "host", status=2).stderr
    (programs / "setpriv").unlink()
    assert "setpriv is not installed" in cli("build", "sample.toml", "--no-cache", status=5).stderr


def test_a_build_that_is_killed_leaves_no_process_and_no_mount(tmp_path: Path) -> None:
    cli = Cli(tmp_path)
    recipe = tmp_path / cli.recipe()
    endless = "run = 'setsid sleep 87654 & sleep 87654'"
    recipe.write_text(recipe.read_text().replace('run = ["rm", "/opt/app/big"]', endless))
    command = cli.command("build", "sample.toml", "--engine", "host")
    with subprocess.Popen(command, cwd=tmp_path, env=cli.environment, stderr=subprocess.DEVNULL) as build:
        until(lambda: len(sleeping()) == 2)
        build.send_signal(signal.SIGKILL)
    until(lambda: not sleeping())
    assert str(tmp_path) not in Path("/proc/self/mountinfo").read_text()
    told = cli("clean", "--engine", "host").stdout
    assert "its build is gone" in told and "no build uses it now" in told
    host = tmp_path / ".cache/imgasm/host"
    assert not list((host / "containers").iterdir()) and not list(host.glob("bases/*/files"))


def sleeping() -> list[str]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found += [path.parent.name] if path.read_bytes() == b"sleep\x0087654\0" else []
        except OSError:
            continue
    return found


def test_a_base_that_a_kept_container_needs_is_not_cleaned(tmp_path: Path) -> None:
    cli = Cli(tmp_path)
    told = cli("build", cli.recipe(), "--engine", "host", "--keep-container").stderr
    assert "imgasm shell enters it\n" in told
    assert cli("clean", "--engine", "host").stdout == "nothing to remove\n"
    shell = subprocess.run(cli.command("shell"), cwd=tmp_path, env=cli.environment, input="cat /opt/app/word; exit 4",
                           capture_output=True, text=True, check=False)
    assert (shell.returncode, shell.stdout) == (4, "one\n"), shell.stderr
    assert "it was kept" in cli("clean", "--engine", "host", "--kept").stdout
    assert "no build uses it now" in cli("clean", "--engine", "host").stdout
    assert os.listdir(tmp_path / ".cache/imgasm/host/containers") == []
