from __future__ import annotations

import os
import pwd
import subprocess
import tarfile
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from assembler.engine import bootstrap
from assembler.engine.bootstrap import make_rootfs
from assembler.errors import EngineError
from assembler.model.bootstrap import Bootstrap
from assembler.progress import SilentProgress
from tests.support.debian_mirror import debian_mirror
from tests.support.engines import environment
from tests.support.people import Person, person

if TYPE_CHECKING:
    from collections.abc import Callable


class Listening(SilentProgress):
    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def output(self, line: str) -> None:
        self.lines.append(line)


@pytest.fixture
def wanted(tmp_path: Path) -> Bootstrap:
    """Downloaded and unpacked, nothing configured."""
    (tmp_path / "mirror").mkdir()
    mirror = debian_mirror(tmp_path / "mirror", "tiny", {"opt/tiny": b"contents\n"})
    return Bootstrap("bookworm", ("tiny",), variant="extract", mirror=mirror)


def test_a_rootfs_is_the_same_every_time(wanted: Bootstrap, tmp_path: Path) -> None:
    progress = Listening()
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        make_rootfs(wanted, tmp_path / name / "rootfs.tar", progress)
    assert (tmp_path / "one/rootfs.tar").read_bytes() == (tmp_path / "two/rootfs.tar").read_bytes()
    assert any(line.startswith("I: creating tarball") for line in progress.lines)
    assert [path.name for path in (tmp_path / "one").iterdir()] == ["rootfs.tar"]


def test_a_rootfs_knows_nothing_of_this_machine(wanted: Bootstrap, tmp_path: Path) -> None:
    make_rootfs(wanted, tmp_path / "rootfs.tar", SilentProgress(), epoch=1_500_000_000)
    with tarfile.open(tmp_path / "rootfs.tar") as tar:
        members = {member.name.removeprefix("./"): member for member in tar}
    assert members["opt/tiny"].size == len(b"contents\n")
    assert "etc/hostname" not in members and "etc/resolv.conf" not in members
    assert members["dev"].isdir() and not [name for name in members if name.startswith("dev/")]
    assert max(member.mtime for member in members.values()) == 1_500_000_000


def test_a_package_that_is_not_there_is_explained(wanted: Bootstrap, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with pytest.raises(EngineError, match="mmdebstrap ended with status") as failure:
        make_rootfs(replace(wanted, packages=("no-such-package",)), tmp_path / "out/rootfs.tar", SilentProgress())
    assert "Unable to locate package no-such-package" in (failure.value.detail or "")
    assert "packages" in (failure.value.hint or "")
    assert list((tmp_path / "out").iterdir()) == []


def test_without_mmdebstrap_the_error_says_how_to_get_it(wanted: Bootstrap, tmp_path: Path) -> None:
    with environment({"PATH": str(tmp_path)}), pytest.raises(EngineError) as failure:
        make_rootfs(wanted, tmp_path / "rootfs.tar", SilentProgress())
    assert failure.value.hint == "apt-get install mmdebstrap"


@pytest.mark.root
def test_an_ordinary_users_mmdebstrap_ends_with_whoever_started_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """kill -9 of imgasm: what it had started went on in its namespaces, and left its chroot."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    bound = bootstrap._bound()
    monkeypatch.undo()
    with person() as user:
        user.home.chmod(0o755)
        (user.home / "mirror").mkdir()
        mirror = debian_mirror(user.home / "mirror", "tiny", {"opt/tiny": b"x"})
        user.own()
        hook = f"--setup-hook=sleep 600; : {user.home}"
        command = [*bound, "mmdebstrap", "--mode=unshare", "--format=tar", "--variant=extract", "--include=tiny", hook,
                   "bookworm", "-", mirror]  # fmt: skip
        code = (f"import subprocess, time; subprocess.Popen({command!r}, stdout=subprocess.DEVNULL, "
                "stderr=subprocess.DEVNULL, start_new_session=True); time.sleep(600)")  # fmt: skip
        number = str(pwd.getpwnam(user.name).pw_uid)
        parent = subprocess.Popen(
            ["setpriv", "--reuid", number, "--regid", number, "--clear-groups", "env", f"HOME={user.home}",
             f"TMPDIR={user.home}", "/usr/bin/python3", "-c", code], cwd=user.home)  # fmt: skip
        try:
            wait_until(lambda: _at_work(user))
        finally:
            parent.kill()
            parent.wait()
        wait_until(lambda: not _at_work(user) and not any(user.home.glob("mmdebstrap*")))


def _at_work(user: Person) -> bool:
    """Whether the hook's shell runs."""
    words = f"sleep 600; : {user.home}".encode()
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if process.read_bytes().startswith(b"sh\0-c\0" + words):
                return True
        except OSError:
            continue  # it ended
    return False


def wait_until(condition: Callable[[], bool]) -> None:
    for _ in range(1200):
        if condition():
            return
        time.sleep(0.1)
    pytest.fail("it did not come")
