from __future__ import annotations

import io
import os
import subprocess
import tarfile
import time
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import pytest

from assembler.engine import container
from assembler.engine.client import Engine
from assembler.engine.client_process import ask
from assembler.engine.container import Bind, ContainerSpec
from assembler.engine.overlay_directories import OverlayDirs
from assembler.engine.session import Session
from assembler.engine.step import Command
from assembler.errors import EngineError, StepFailed
from tests.support import engines

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.engine


def shell(session: Session, script: str, **options: object) -> list[str]:
    lines: list[str] = []
    session.run(Command("a step", ["/bin/sh", "-ec", script], {}, **options), lines.append)  # type: ignore[arg-type]
    return lines


def exists(engine: Engine, name: str) -> bool:
    return name in ask(engine.command("container", "ls", "--all", "--format", "{{.Names}}"), "ls").split()


def until(happened: Callable[[], bool]) -> None:
    """However long the machine takes for it."""
    while not happened():
        time.sleep(0.1)


def volumes(engine: Engine) -> list[str]:
    return ask(engine.command("volume", "ls", "--quiet"), "volumes").split()


def test_steps_share_one_container(session: Session) -> None:
    shell(session, "echo made >/made")
    assert shell(session, "cat /made; pwd; id -u") == ["made", "/", "0"]


def test_a_step_has_env_workdir_and_user(session: Session) -> None:
    lines: list[str] = []
    session.run(Command("own", ["/bin/sh", "-c", 'echo "$GREETING"; pwd; id -u'], {"GREETING": "a=b c"},
                        PurePosixPath("/opt/old"), "ann"), lines.append)
    assert lines == ["a=b c", "/opt/old", "1000"]


def test_output_comes_while_the_step_runs(engine: Engine, session: Session, spec: ContainerSpec) -> None:
    """The step goes on when its first line has arrived, and not before."""
    lines: list[str] = []

    def arrived(line: str) -> None:
        lines.append(line)
        if line == "one":
            subprocess.run(engine.command("container", "exec", spec.name, "touch", "/go-on"), check=True)

    session.run(Command("slow", ["/bin/sh", "-c", "echo one; until [ -e /go-on ]; do sleep 0.1; done; echo two"], {},
                        timeout=600), arrived)  # fmt: skip
    assert lines == ["one", "two"]


def test_output_may_be_anything(session: Session) -> None:
    lines = shell(session, r"printf 'a\377b\n1%%\r2%%\r\nerr\n' >&2; head -c 20000 /dev/zero | tr '\0' x; echo")
    assert lines[:4] == ["a\ufffdb", "1%", "2%", "err"]
    assert "".join(lines[4:]) == "x" * 20000


def test_a_failed_step_shows_its_status_and_last_lines(session: Session) -> None:
    with pytest.raises(StepFailed) as failure:
        shell(session, "for i in $(seq 1000); do echo line $i; done; exit 7")
    assert failure.value.message == "step 'a step' ended with status 7"
    assert failure.value.detail is not None
    assert failure.value.detail.splitlines()[0] == "line 961"
    assert failure.value.detail.splitlines()[-1] == "line 1000"


def test_a_killed_step_says_so(session: Session) -> None:
    with pytest.raises(StepFailed, match="was killed by SIGKILL") as failure:
        shell(session, "kill -KILL $$")
    assert "memory" in (failure.value.hint or "")


def test_an_unknown_command_says_so(session: Session) -> None:
    with pytest.raises(StepFailed) as failure:
        session.run(Command("typo", ["/no/such/thing"], {}))
    assert failure.value.hint is not None and failure.value.hint.startswith(("127", "126"))
    assert "/no/such/thing" in (failure.value.detail or "")


def test_a_stopped_container_says_so(session: Session) -> None:
    with pytest.raises(StepFailed, match="the container itself has stopped"):
        shell(session, "kill -TERM 1; sleep 1000")


def test_a_timeout_kills_all_that_the_step_started(session: Session) -> None:
    """A busy machine may take longer than a second to start it all."""
    for timeout in (1, 10, 100):
        with pytest.raises(StepFailed, match=f"longer than its timeout of {timeout} s") as failure:
            shell(session, "sleep 1234 & setsid sleep 1235 & echo waiting; sleep 1236", timeout=timeout)
        assert not [line for line in shell(session, "ps") if "sleep 123" in line]
        if failure.value.detail == "waiting":
            return
    pytest.fail(f"it said {failure.value.detail!r}")


def test_write_file(session: Session) -> None:
    content = bytes(range(256)) * 5000
    session.write_file(PurePosixPath("/opt/new/it's a file"), io.BytesIO(content), 0o640, "1000:7")
    session.write_file(PurePosixPath("/bin/tool"), io.BytesIO(b"#!/bin/sh\necho works\n"), 0o4755)
    assert shell(session, "stat -c '%a %u:%g %s' \"/opt/new/it's a file\" /bin/tool; tool; ls -ld /bin | cut -c1") == \
        [f"640 1000:7 {len(content)}", "4755 0:0 21", "works", "l"]


def test_write_file_into_a_missing_place_fails(session: Session) -> None:
    with pytest.raises(EngineError, match="could not write /proc/nowhere/file"):
        session.write_file(PurePosixPath("/proc/nowhere/file"), io.BytesIO(), 0o644)


def test_mounts_are_paths_in_the_rootfs(engine: Engine, spec: ContainerSpec, tmp_path: Path) -> None:
    source = tmp_path / 'a "source", v=1'
    source.write_text("from outside\n")
    with engine.session(replace(
        spec, container=replace(spec.container, scratch=(PurePosixPath("/tmp"), PurePosixPath("/var/scratch"))),
        binds=(Bind(source, PurePosixPath("/sources/a b,c")),),
    )) as session:
        assert {b"tmp", b"var/scratch", b"sources/a b,c", b"proc", b"etc/hosts"} <= set(session.mounts())
        assert shell(session, "cat '/sources/a b,c'; ! touch '/sources/a b,c' 2>/dev/null; stat -c %a /tmp") == \
            ["from outside", "1777"]


def test_scratch_is_seen_from_outside_and_goes_away(engine: Engine, spec: ContainerSpec) -> None:
    before = volumes(engine)
    wanted = replace(spec.container, scratch=(PurePosixPath("/scratch"),))
    with engine.session(replace(spec, container=wanted)) as session:
        shell(session, "echo much >/scratch/file")
        directory = session.scratch_directories()["/scratch"]
        assert (directory / "file").read_text() == "much\n"
        assert len(volumes(engine)) == len(before) + 1
        located = session.overlay()
        assert isinstance(located, OverlayDirs)
        assert not (located.upper / "scratch/file").exists()
    assert volumes(engine) == before
    assert not directory.exists()


def test_pause_stops_everything(session: Session) -> None:
    located = session.overlay()
    assert isinstance(located, OverlayDirs)
    shell(session, "(while :; do date +%N >/clock; done) >/dev/null 2>&1 &")
    clock = located.upper / "clock"
    until(clock.exists)
    with session.paused():
        seen = clock.read_text(), clock.stat().st_mtime_ns
        time.sleep(0.3)
        assert (clock.read_text(), clock.stat().st_mtime_ns) == seen
    until(lambda: clock.stat().st_mtime_ns != seen[1])


def test_size_rw_counts_what_was_written(session: Session) -> None:
    shell(session, "head -c 3000000 /dev/zero >/big")
    size = session.size_rw()
    assert size is not None and 3_000_000 <= size < 3_100_000


def test_process_one_is_known_on_this_machine(session: Session) -> None:
    assert session.pid is not None
    assert os.readlink(f"/proc/{session.pid}/exe").endswith("busybox")


def test_the_container_goes_on_success_and_failure(engine: Engine, spec: ContainerSpec) -> None:
    with engine.session(spec):
        assert exists(engine, spec.name)
    assert not exists(engine, spec.name)
    with pytest.raises(KeyboardInterrupt), engine.session(spec) as session, session.paused():
        raise KeyboardInterrupt
    assert not exists(engine, spec.name)


def test_an_engine_that_is_slow_to_remove_is_a_warning(
    engine: Engine, spec: ContainerSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(container, "_REMOVAL_SECONDS", 0.001)
    warnings: list[str] = []
    with engine.session(spec, warn=warnings.append):
        pass
    assert warnings == [f"{engine.name} still removes the container {spec.name} after 0 s; "
                        "imgasm clean removes what stays"]
    until(lambda: not exists(engine, spec.name))  # the removal goes on by itself


def test_keep_leaves_it_running(engine: Engine, spec: ContainerSpec) -> None:
    with engine.session(spec) as session:
        session.write_file(PurePosixPath("/opt/here"), io.BytesIO(b"still"), 0o644)
        session.container.keep()
    assert exists(engine, session.name) and not exists(engine, spec.name)
    with engine.session_again(spec, session.aside) as again:
        assert again.read_text("/opt/here") == "still"
    assert exists(engine, session.name), "it stays until it is let go"
    with engine.session_again(spec, session.aside) as again:
        again.container.let_go()
    assert not exists(engine, session.name)
    with pytest.raises(EngineError, match="has no container"), engine.session_again(spec, session.aside):
        pass


def test_a_base_without_shell_is_explained(engine: Engine, spec: ContainerSpec) -> None:
    empty = io.BytesIO()
    with tarfile.open(fileobj=empty, mode="w") as tar:
        tar.addfile(tarfile.TarInfo("file"))
    empty.seek(0)
    image = engines.import_rootfs(engine, empty, {})
    with pytest.raises(EngineError, match="could not start the container") as failure, \
            engine.session(replace(spec, image=image)):
        pass
    assert "needs a /bin/sh" in (failure.value.hint or "")
    engine.images.remove(image)
