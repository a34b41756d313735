from __future__ import annotations

import signal
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from assembler.engine.client_process import ask
from assembler.engine.leftovers import remove_leftovers
from assembler.engine.owner_labels import Owner, labels
from tests.support import engines

if TYPE_CHECKING:
    from collections.abc import Iterator

    from assembler.engine.client import Engine
    from assembler.engine.container import ContainerSpec

pytestmark = pytest.mark.engine


@contextmanager
def build(engine: Engine, spec: ContainerSpec) -> Iterator[subprocess.Popen[str]]:
    """A build in its endless step."""
    argv = [sys.executable, "-m", "tests.support.build_process", engine.name, spec.image, spec.build]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "started\n"
        try:
            yield process
        finally:
            process.kill()


def traces(engine: Engine) -> list[str]:
    """Containers and volumes."""
    containers = ask(engine.command("container", "ls", "--all", "--format", "{{.Names}}"), "ls")
    return containers.split() + ask(engine.command("volume", "ls", "--quiet"), "ls").split()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_takes_container_and_volume_away(engine: Engine, spec: ContainerSpec, number: signal.Signals) -> None:
    with build(engine, spec) as process:
        process.send_signal(number)
        assert process.wait() == 99
    assert traces(engine) == []


def test_clean_removes_what_a_kill_9_left(engine: Engine, spec: ContainerSpec) -> None:
    with build(engine, spec) as process:
        process.kill()
        process.wait()
        cleaning = remove_leftovers(engine)
    assert [(left.kind, left.name, left.build) for left in cleaning.removed] == [("container", spec.name, spec.build)]
    assert "is gone" in cleaning.removed[0].why
    assert traces(engine) == []


def test_clean_leaves_a_live_build_alone(engine: Engine, spec: ContainerSpec) -> None:
    with build(engine, spec) as process:
        cleaning = remove_leftovers(engine, every=True)
        assert process.poll() is None
        assert cleaning.removed == ()
        assert [left.why for left in cleaning.kept] == [f"its owner, process {process.pid}, still runs"]
        process.send_signal(signal.SIGINT)
        process.wait()


def test_clean_takes_another_machines_build_only_when_told(engine: Engine, spec: ContainerSpec) -> None:
    elsewhere = replace(Owner.of_this_process(), boot="another-boot")
    engine.client.container.create(spec.image, ["true"], name=spec.name,
                                   labels={**labels(spec.build), "io.imgasm.owner": str(elsewhere)})
    assert [left.why for left in remove_leftovers(engine).kept] == ["its owner is another machine or container"]
    assert [left.name for left in remove_leftovers(engine, every=True).removed] == [spec.name]
    assert traces(engine) == []


def test_clean_removes_imported_images_of_dead_builds(engine: Engine) -> None:
    dead = replace(Owner.of_this_process(), started=1)
    image = engines.import_rootfs(engine, engines.busybox_rootfs(), {**labels("dead"), "io.imgasm.owner": str(dead)})
    mine = engines.import_rootfs(engine, engines.busybox_rootfs(), labels("alive"))
    cleaning = remove_leftovers(engine)
    assert [(left.kind, left.build) for left in cleaning.removed] == [("image", "dead")]
    assert [(left.kind, left.build) for left in cleaning.kept] == [("image", "alive")]
    assert engine.images.find(image) is None
    assert engine.images.config(mine)["config"] == {}  # imgasm's labels never get into an image that is made
    engine.images.remove(mine)


def test_owners_are_told_apart() -> None:
    me = Owner.of_this_process()
    assert Owner.parse(str(me)) == me
    assert me.gone is False
    assert replace(me, started=me.started + 1).gone is True
    assert replace(me, namespace=1).gone is None
    assert Owner.parse("nonsense") is None
    assert Owner.parse("boot/1/x/3") is None
